"""A slot's process that stands still for a moment, and what it could write to then."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.wire.errors import LeaseGridError

STILL_SECONDS = 2.0
"""A process that does not stand still by then is waiting for a disk: the next checkpoint is tried."""

_WRITING = os.O_WRONLY | os.O_RDWR
_STILL = frozenset("TtZX")

Inodes = frozenset[tuple[int, int]]
"""Device and inode of files."""


@dataclass(frozen=True)
class SlotProcessId:
    """A slot's process: its number, and a descriptor (pidfd) by which no other is meant when that one is gone."""

    number: int
    descriptor: int

    def go_on(self) -> None:
        """Let it run, if it was stopped; one that is gone is no error."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGCONT)


@contextmanager
def standing_still(slot: SlotProcessId) -> Iterator[None]:
    """The process does not run meanwhile. Who may kill this one must let that one go on afterwards."""
    signal.pidfd_send_signal(slot.descriptor, signal.SIGSTOP)
    try:
        _await_still(slot.number)
        yield
    finally:
        signal.pidfd_send_signal(slot.descriptor, signal.SIGCONT)


def open_for_writing(pid: int) -> Inodes:
    """Device and inode of each file that the process could write to at this moment."""
    found = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            if _flags(pid, descriptor) & _WRITING:
                status = os.stat(f"/proc/{pid}/fd/{descriptor}")
                found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _flags(pid: int, descriptor: str) -> int:
    for line in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return 0


def _await_still(pid: int) -> None:
    until = time.monotonic() + STILL_SECONDS
    while not all(state in _STILL for state in _states(pid)):
        if time.monotonic() > until:
            raise LeaseGridError("the slot does not stand still", remedy="is a disk below scratch hanging?")
        time.sleep(0.0005)


def _states(pid: int) -> Iterator[str]:
    for thread in os.listdir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # The name before it stands in parentheses and may hold anything.
            yield Path(f"/proc/{pid}/task/{thread}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
