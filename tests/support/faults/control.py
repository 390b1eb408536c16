"""What the preloaded library does: a file that the test and every process of it map.

Numbers and layout are those of `deciding.h`.
"""

import ctypes
import errno
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tests.support.faults.building import library

FOREVER = 1 << 62
_PATH_BYTES = 512
_TRACED = 4096


class Kind(IntEnum):
    """What a call does. OPEN: with the intent to change something; READ: bytes, or a file opened for reading."""

    OPEN = 0
    WRITE = 1
    SYNC = 2
    RENAME = 3
    UNLINK = 4
    TRUNCATE = 5
    LINK = 6
    MKDIR = 7
    CLOSE = 8
    ALLOCATE = 9
    COPY = 10
    READ = 11


CHANGES = tuple(kind for kind in Kind if kind not in {Kind.READ, Kind.CLOSE})
"""Every call after which the disk may be another."""

NEEDS_SPACE = (Kind.OPEN, Kind.WRITE, Kind.SYNC, Kind.RENAME, Kind.TRUNCATE, Kind.LINK, Kind.MKDIR, Kind.ALLOCATE)
"""Every call that a full disk may refuse; a sync, because a file system may look for room late."""


class Action(IntEnum):
    """What happens at the chosen call. TEAR: half of a write, then the kill. SHORTEN: half of it, and says so."""

    NOTHING = 0
    KILL_BEFORE = 1
    KILL_AFTER = 2
    TEAR = 3
    FAIL = 4
    SHORTEN = 5


@dataclass(frozen=True)
class Fault:
    """At the `at`-th call (from 1) of these kinds, and at `span` - 1 more. `error`: the errno of FAIL."""

    action: Action
    at: int
    kinds: tuple[Kind, ...] = CHANGES
    span: int = 1
    error: int = errno.EIO

    def __str__(self) -> str:
        name = f" {errno.errorcode[self.error]}" if self.action is Action.FAIL else ""
        return f"{self.action.name}{name} at call {self.at}" + (" and every one after" if self.span == FOREVER else "")


@dataclass(frozen=True)
class Call:
    """A call that was counted: its kind, and the end of the path (62 bytes)."""

    kind: Kind
    path: str


class _Traced(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_char), ("path", ctypes.c_char * 63))


class _Shared(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("calls", "met", "first", "span", "action", "error", "kinds")),
        ("clock_nanoseconds", ctypes.c_int64),
        ("recording", ctypes.c_int64),
        ("below", ctypes.c_char * _PATH_BYTES),
        ("journal", ctypes.c_char * _PATH_BYTES),
        ("trace", _Traced * _TRACED),
    )


class Control:
    """One file. `environment` makes a process, and all that it starts, obey it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("x+b") as file:
            file.truncate(ctypes.sizeof(_Shared))
            self._mapped = mmap.mmap(file.fileno(), ctypes.sizeof(_Shared))
        self._shared = _Shared.from_buffer(self._mapped)

    @property
    def environment(self) -> dict[str, str]:
        """What a process must find in its environment."""
        others = os.environ.get("LD_PRELOAD", "")
        return {"LD_PRELOAD": f"{library()} {others}".strip(), "FAULTS_CONTROL": str(self.path)}

    @property
    def calls(self) -> int:
        """How many calls were counted since the last `watch` or `arm`."""
        return int(self._shared.calls)

    @property
    def met(self) -> int:
        """How often the fault happened."""
        return int(self._shared.met)

    def watch(self, below: Path, kinds: Iterable[Kind] = CHANGES) -> None:
        """Count these calls on what is below the directory from now on, and do nothing to them."""
        self._shared.action = Action.NOTHING
        self._shared.below = os.fsencode(below)
        self._count(kinds)

    def arm(self, below: Path, fault: Fault) -> None:
        """Count anew; the fault happens in its turn."""
        self.watch(below, fault.kinds)
        self._shared.first, self._shared.span = fault.at, fault.span
        self._shared.error, self._shared.action = fault.error, fault.action

    def disarm(self) -> None:
        """Nothing happens any more."""
        self._shared.action = Action.NOTHING

    def trace(self) -> list[Call]:
        """The first 4,096 calls that were counted."""
        found = (self._shared.trace[number] for number in range(min(self.calls, _TRACED)))
        return [Call(Kind(ord(each.kind) - 1), os.fsdecode(each.path)) for each in found]

    def step_clock(self, seconds: float) -> None:
        """From now on the wall clock of every process that obeys is so far from the true one."""
        self._shared.clock_nanoseconds = round(seconds * 1_000_000_000)

    @contextmanager
    def recording(self, below: Path, journal: Path) -> Iterator[None]:
        """Everything that is changed below the directory goes into the journal while the block runs."""
        self._shared.below, self._shared.journal = os.fsencode(below), os.fsencode(journal)
        self._shared.recording = 1
        try:
            yield
        finally:
            self._shared.recording = 0

    def close(self) -> None:
        """Remove the file; the processes that have it mapped keep it."""
        del self._shared
        self._mapped.close()
        self.path.unlink()

    def _count(self, kinds: Iterable[Kind]) -> None:
        ctypes.memset(ctypes.byref(self._shared.trace), 0, ctypes.sizeof(self._shared.trace))
        self._shared.calls = self._shared.met = 0
        self._shared.kinds = sum(1 << kind for kind in set(kinds))
