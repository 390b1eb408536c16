"""Work on files that would take too long in the member's main process, done in a forked child of it."""

import os
from collections.abc import Callable

from tasklet_runner.member.codes import readable
from tasklet_runner.wire.errors import LeaseGridError


async def in_child(work: Callable[[], object]) -> str:
    """Do slow work on files in a forked child, so that deadlines are kept meanwhile; says what went wrong, if any."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, _words_of(work).encode()[:4096])
        os._exit(0)
    os.close(writing)
    descriptor = os.pidfd_open(pid)
    try:
        await readable(descriptor)
        return os.read(reading, 4096).decode(errors="replace")
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
