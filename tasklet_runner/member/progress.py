"""What a slot's process tells its parent without a message: a page of anonymous shared memory.

The slot writes before each task, which costs well under a microsecond; the parent reads when it polls, and after the
slot has died. A read may be torn, so the parent acts only on two equal reads.
"""

import mmap
import struct
from bisect import bisect_left
from dataclasses import dataclass
from typing import Self

DURATION_BUCKETS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0, 30000.0)
"""Upper bounds of `tasklet_duration_ms`, in milliseconds; one more bucket has no bound."""

_RUNNING = struct.Struct("<IIIId")
_BUSY_AT = 12
_COUNTERS = struct.Struct("<QQQQ")
_COUNTERS_AT = 64
_BUCKETS = struct.Struct(f"<{len(DURATION_BUCKETS) + 1}Q")
_BUCKETS_AT = 128


@dataclass(frozen=True)
class Running:
    """The task that runs: its frame's sequence number, its position there, its program, since when (monotonic)."""

    sequence: int
    position: int
    program: int
    since: float


@dataclass(frozen=True)
class Tally:
    """What was counted: tasks, faults, fuel, wall-clock microseconds, and tasks per bucket of their duration."""

    tasklets: int = 0
    faults: int = 0
    fuel_used: int = 0
    wall_microseconds: int = 0
    durations: tuple[int, ...] = (0,) * (len(DURATION_BUCKETS) + 1)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.tasklets + other.tasklets,
            self.faults + other.faults,
            self.fuel_used + other.fuel_used,
            self.wall_microseconds + other.wall_microseconds,
            tuple(mine + its for mine, its in zip(self.durations, other.durations, strict=True)),
        )


@dataclass
class Traffic:
    """Bytes between a member and stores in its whole life: outputs that it put, inputs that it fetched for tasks, and
    parts of inputs that it fetched ahead of them.
    """

    put_bytes: int = 0
    fetched_bytes: int = 0
    ahead_bytes: int = 0


class Progress:
    """One slot's page. The slot calls `started`, `ended`, `publish`; the parent `running`, `tally` and `clear`."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page

    @classmethod
    def new(cls) -> Self:
        """A page that a forked child shares."""
        return cls(mmap.mmap(-1, mmap.PAGESIZE))

    def started(self, sequence: int, position: int, program: int, since: float) -> None:
        """This task runs from now on."""
        _RUNNING.pack_into(self._page, 0, sequence, position, program, 1, since)

    def ended(self) -> None:
        """No task runs: what follows, such as waiting for a slow holder, is not the task's time."""
        self._page[_BUSY_AT] = 0

    def publish(self, tally: "Counting") -> None:
        """Everything that the slot has counted so far."""
        counters = (tally.tasklets, tally.faults, tally.fuel_used, tally.wall_microseconds)
        _COUNTERS.pack_into(self._page, _COUNTERS_AT, *counters)
        _BUCKETS.pack_into(self._page, _BUCKETS_AT, *tally.durations)

    def running(self) -> Running | None:
        """The task that runs, or None."""
        sequence, position, program, busy, since = _RUNNING.unpack_from(self._page, 0)
        return Running(sequence, position, program, since) if busy else None

    def tally(self) -> Tally:
        """What the slot's process has counted since `clear`."""
        tasklets, faults, fuel_used, wall_microseconds = _COUNTERS.unpack_from(self._page, _COUNTERS_AT)
        return Tally(tasklets, faults, fuel_used, wall_microseconds, _BUCKETS.unpack_from(self._page, _BUCKETS_AT))

    def clear(self) -> None:
        """Ready for another process."""
        self._page[:] = bytes(len(self._page))


class Counting:
    """The slot's own counters, cheap to raise."""

    def __init__(self) -> None:
        self.tasklets = 0
        self.faults = 0
        self.fuel_used = 0
        self.wall_microseconds = 0
        self.durations = [0] * (len(DURATION_BUCKETS) + 1)

    def add(self, fuel_used: int, wall_microseconds: int, *, failed: bool) -> None:
        """One task has ended."""
        self.tasklets += 1
        self.faults += failed
        self.fuel_used += max(0, fuel_used)
        self.wall_microseconds += wall_microseconds
        self.durations[bisect_left(DURATION_BUCKETS, wall_microseconds / 1000)] += 1
