"""Work on files that would take too long in the member's main process, done in a forked child of it."""

import os
from collections.abc import Callable

from tasklet_runner.member.codes import readable
from tasklet_runner.wire.errors import LeaseGridError

KILLED = "the process that did it was killed"

_DONE = b"."
"""The first byte of what a child says that came to its end."""


async def in_child(work: Callable[[], object]) -> str:
    """Do slow work on files in a forked child, so that deadlines are kept meanwhile; says what went wrong, if any."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, _DONE + _words_of(work).encode()[:4000])
        os._exit(0)
    os.close(writing)
    descriptor = os.pidfd_open(pid)
    try:
        await readable(descriptor)
        said = os.read(reading, 4096)
        # A child that was killed, for want of memory perhaps, has said nothing: then nothing is known to be done.
        return said.removeprefix(_DONE).decode(errors="replace") if said else KILLED
    finally:
        os.close(descriptor)
        os.close(reading)
        _reap(pid)


def _words_of(work: Callable[[], object]) -> str:
    try:
        work()
    except (LeaseGridError, OSError) as error:
        return str(error) or type(error).__name__
    except BaseException as error:  # noqa: BLE001 - the edge of this child: it must end here, never in its parent's code
        return f"{type(error).__name__}: {error}"
    return ""


def _reap(pid: int) -> None:
    try:
        os.kill(pid, 9)
    finally:
        os.waitpid(pid, 0)
