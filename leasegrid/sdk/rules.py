"""When a checkpoint is due, and what follows a failed one: pure."""

from dataclasses import dataclass
from enum import StrEnum

from tasklet_runner.wire.errors import (
    CheckpointDamagedError,
    CheckpointVersionError,
    LeaseGridError,
    RefusedError,
    StoreError,
    StoreFencedError,
    UnreachableError,
)


class OnStoreLost(StrEnum):
    """What follows when a store does not take a checkpoint, however often it is tried.

    ABORT: StoreLostError. RESTART: the first state again, at step 0. NEW_TARGET: on with the present state, elsewhere.
    """

    ABORT = "Abort"
    RESTART = "Restart"
    NEW_TARGET = "NewTarget"


@dataclass(frozen=True)
class Schedule:
    """Every so many steps, every so many seconds, whichever comes first; 0: by hand only."""

    every_steps: int = 0
    every_seconds: float = 0.0

    def is_due(self, steps: int, seconds: float) -> bool:
        """So many steps and seconds after the last checkpoint."""
        return bool(
            (self.every_steps and steps >= self.every_steps) or (self.every_seconds and seconds >= self.every_seconds)
        )


@dataclass(frozen=True)
class Retries:
    """How often a failed checkpoint is tried again, and how long is waited before: doubling, up to a bound."""

    count: int = 5
    initial_seconds: float = 0.1
    max_seconds: float = 2.0

    def wait_seconds(self, failures: int) -> float | None:
        """After so many failures in a row; None: the store is lost."""
        if failures > self.count:
            return None
        return min(self.initial_seconds * 2.0 ** (failures - 1), self.max_seconds)


_PASSING = frozenset({"NotReady", "DigestMismatch"})
_LOST = frozenset({"LeaseExpired", "Fenced", "Revoked", "Unauthenticated"})


class Failure(StrEnum):
    """What a failed call to a store says."""

    PASSING = "Passing"
    LOST = "Lost"
    FINAL = "Final"


def judge(error: LeaseGridError) -> Failure:
    """PASSING: try again. LOST: this store takes nothing any more. FINAL: nothing that another store would mend."""
    match error:
        case StoreFencedError() | CheckpointDamagedError() | CheckpointVersionError():
            return Failure.FINAL
        case UnreachableError() | StoreError():
            return Failure.PASSING
        case RefusedError(reason=reason) if reason in _PASSING:
            return Failure.PASSING
        case RefusedError(reason=reason) if reason in _LOST:
            return Failure.LOST
        case _:
            return Failure.FINAL
