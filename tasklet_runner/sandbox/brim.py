"""Whether scratch is full, or was a moment ago: told between the processes of one member.

A tasklet can fill scratch faster than anybody looks. What others write fails meanwhile, and a program that does not
look at what its writes came to ends as if all were well. So whoever gives space back, or answers for a task, looks
first, and the moment is kept in memory that all of them share: no answer passes for whole that may not be.
"""

import errno
import mmap
import os
import struct
import time
from pathlib import Path

from tasklet_runner.wire.faults import Fault, FaultKind

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_ROOM_BYTES = 64 * 1024
"""With less, it counts as full: between a write that failed and the look some page may have been given back."""

_LOW_BYTES = 256 * 1024 * 1024
"""With more, whoever sends something next finds room for it."""

_MOMENT = struct.Struct("@d")


class Brim:
    """Of the file system on which `scratch` stands. To be made before the processes that share it are forked."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def look(self) -> None:
        """When it is full, remember that it was at this moment."""
        if self._free()[0] < _ROOM_BYTES:
            _MOMENT.pack_into(self._page, 0, time.monotonic())

    def was_full_since(self, moment: float) -> bool:
        """True when somebody found it full at this moment (monotonic) or later."""
        found: float = _MOMENT.unpack_from(self._page)[0]
        return found >= moment

    def free_share(self) -> float:
        """How much of it is free, between 0 and 1."""
        free, total = self._free()
        return free / total if total else 1.0

    def is_low(self) -> bool:
        """True when what comes next may not fit."""
        free, total = self._free()
        return free < min(total // 2, _LOW_BYTES)

    def _free(self) -> tuple[int, int]:
        try:
            status = os.statvfs(self._scratch)
        except OSError:
            return _ROOM_BYTES, 0  # scratch was taken away: whoever needs it will say so
        free = status.f_bavail if status.f_favail or not status.f_files else 0
        return free * status.f_frsize, status.f_blocks * status.f_frsize


def scratch_was_full() -> Fault:
    """Of a task that met it: transient, as it may be no fault of its own, and another member has another scratch."""
    return Fault(
        kind=FaultKind.DISCONNECTED,
        message="the member's scratch was full while the tasklet ran: what it wrote may not be whole",
        remedy="it is tried again; if it goes on, give members a larger scratch (resources.memory of the pool), or let"
        " tasklets write less (spec.tasklet.maxOutput)",
    )
