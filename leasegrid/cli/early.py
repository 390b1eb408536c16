"""The zygote, started before this process imports the rest, so that both do their imports at the same time."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from leasegrid.cli.interrupts import held_back
from leasegrid.local.launching import Launched, launch
from leasegrid.local.zygote import session_processes

_KILL_SECONDS = 5.0


@contextmanager
def started() -> Iterator[Launched]:
    """A runtime directory with its zygote. Whatever ends the block, afterwards neither they nor their members exist.

    The fabric ends them in order; what is done here is for a command that ends before the fabric has taken over.
    Raises StateDirectoryError, UnreachableError.
    """
    launched: Launched | None = None
    try:
        with held_back():
            launched = launch()
        yield launched
    finally:
        if launched is not None:
            with held_back():
                abandon(launched)


def abandon(launched: Launched) -> None:
    """Kill the zygote and all that it forked at once, and remove their runtime directory. Needs no event loop."""
    deadline = time.monotonic() + _KILL_SECONDS
    while (found := session_processes(launched.zygote.pid)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    launched.runtime.remove()
