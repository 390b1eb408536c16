"""What a run looks like from outside: snapshots for people and programs, and the report at its end."""

from enum import StrEnum

import msgspec

from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.faults import Fault

MAX_TIMELINE_POINTS = 2000
"""A timeline keeps at most so many change points; older ones are thinned evenly."""

MAX_FAILURES_KEPT = 100
"""So many failures are kept in the report; all of them stand in the store's commit records."""


class Phase(StrEnum):
    """Where a run is."""

    PREPARING = "Preparing"
    ACQUIRING = "Acquiring"
    RUNNING = "Running"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    FINISHING = "Finishing"
    COMPLETE = "Complete"
    FAILED = "Failed"
    STOPPED = "Stopped"


class StageState(StrEnum):
    """Where a stage is."""

    WAITING = "Waiting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class TimelinePoint(msgspec.Struct, frozen=True, array_like=True):
    """A change of the run's shape: seconds since its start, members under lease (those of stores too), chunks running,
    chunks done.
    """

    seconds: float
    leased: int
    running: int
    done: int


class StageProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one stage's chunks. `total` is -1 while the input is still being listed; `resumed` were done by an
    earlier run, and count as succeeded or failed too.

    `began` and `ended`: seconds since the run's start, -1 while that has not happened.
    """

    name: str
    state: StageState = StageState.WAITING
    total: int = -1
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    checkpoints: int = 0
    checkpoints_failed: int = 0
    cached: int = 0
    skipped: int = 0
    running: int = 0
    resumed: int = 0
    began: float = -1.0
    ended: float = -1.0

    @property
    def done(self) -> int:
        """Chunks that need no more work."""
        return self.succeeded + self.failed + self.skipped


class StageIndexes(msgspec.Struct, frozen=True):
    """Which chunks of a stage are done, as `0-4,7`, each in at most 16 KiB."""

    completed: str = ""
    failed: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot.

    `rate` in chunks per second over the last seconds; `elapsed` in seconds. `cached` chunks count as succeeded too.
    `generation`: the coordinator's term.
    """

    phase: Phase
    elapsed: float
    stages: tuple[StageProgress, ...]
    workers: int = 0
    slots: int = 0
    leases: int = 0
    rate: float = 0.0
    waiting_because: str = ""
    notices: tuple[str, ...] = ()
    generation: int = 1


class ChunkFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that ended with a fault."""

    stage: str
    index: int
    chunk_id: str
    attempts: int
    fault: Fault


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    `reason`: Finished, ChunksFailed, DeadlineExceeded, Interrupted, StoreUnavailable, NoCapacity, InvalidInput …
    `indexes`: of the first stage, which has the chunks of a Job's input.
    """

    complete: bool
    reason: str
    message: str
    progress: Progress
    indexes: StageIndexes = StageIndexes()
    failures: tuple[ChunkFailure, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    timeline: tuple[TimelinePoint, ...] = ()
