"""Checkpoints of one task between a member and the store that keeps them, and what a member counts of them."""

import errno
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

from tasklet_runner.client.checkpoints import get_checkpoint, put_checkpoint, put_delta
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.member.packing import Packs, mapped
from tasklet_runner.member.progress import DURATION_BUCKETS
from tasklet_runner.wire.checkpoints import FULL_WANTED
from tasklet_runner.wire.errors import (
    CheckpointDamagedError,
    CheckpointVersionError,
    InputError,
    LeaseGridError,
    RefusedError,
    StoreFencedError,
)
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Durable


@dataclass
class CheckpointTally:
    """What was counted: checkpoints that are kept, their bytes on the way, how long each took until the store had it,
    those that could not be kept, and tasks that went on from one.
    """

    kept: int = 0
    failed: int = 0
    byte_count: int = 0
    milliseconds: int = 0
    resumed: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))

    def keep(self, byte_count: int, milliseconds: int) -> None:
        """The store has one more."""
        self.kept += 1
        self.byte_count += byte_count
        self.milliseconds += milliseconds
        self.durations[bisect_left(DURATION_BUCKETS, milliseconds)] += 1

    def clear(self) -> None:
        """Begin to count anew."""
        self.kept = self.failed = self.byte_count = self.milliseconds = self.resumed = 0
        self.durations = [0] * len(self.durations)

    def add(self, other: "CheckpointTally") -> None:
        """Count what another counted."""
        self.kept += other.kept
        self.failed += other.failed
        self.byte_count += other.byte_count
        self.milliseconds += other.milliseconds
        self.resumed += other.resumed
        self.durations = [mine + its for mine, its in zip(self.durations, other.durations, strict=True)]


@dataclass(frozen=True)
class CheckpointShelf:
    """What all tasks of one lease share: the member's scratch, connections to stores, and the count."""

    scratch: Path
    stores: StoreConnections
    tally: CheckpointTally = field(default_factory=CheckpointTally)

    @property
    def directory(self) -> Path:
        """Where the archives of running tasks stand."""
        return self.scratch / "checkpoints"


class Keeper:
    """Brings a task's archives to the store and back. The first one that is put is a full one, as are those after a
    failure: then it is not known what the store has.
    """

    def __init__(self, stores: StoreConnections, durable: Durable, packs: Packs) -> None:
        self._stores = stores
        self._durable = durable
        self._packs = packs
        self.generation = 0
        self.since_full: int | None = None

    async def fetch(self) -> bool:
        """Write the newest checkpoint to `packs.kept`; False when there is none. Whoever asked before is fenced.

        Raises what `client.checkpoints` does.
        """
        found = await get_checkpoint(self._stores, self._durable, self._packs.kept)
        if found is None:
            return False
        self.generation = found[0]
        return True

    async def put(self) -> int:
        """Put what `packing.take` has left; the bytes sent. Raises OSError and what `client.checkpoints` does."""
        try:
            sent = await self._put()
        except (LeaseGridError, OSError):
            # Whether the store took it is not known: the next one must be above it in any case.
            self.generation += 1
            self.since_full = None
            raise
        self.generation += 1
        self._packs.fresh.replace(self._packs.kept)
        return sent

    async def _put(self) -> int:
        if self.since_full is not None and self._packs.delta.exists():
            try:
                return await self._put_delta(self.since_full)
            except RefusedError as error:
                if error.reason != FULL_WANTED:
                    raise
        payload = mapped(self._packs.fresh)
        sent = await put_checkpoint(self._stores, self._durable, self.generation + 1, payload)
        self.since_full = 0
        return sent

    async def _put_delta(self, since_full: int) -> int:
        delta = mapped(self._packs.delta)
        size = self._packs.fresh.stat().st_size
        sent = await put_delta(self._stores, self._durable, self.generation + 1, delta, size)
        self.since_full = since_full + sent
        return sent


def restore_fault(endpoint: str, error: LeaseGridError | OSError) -> Fault:
    """Why a task cannot begin where it should: never does it begin at nothing instead."""
    cause, remedy = (error.cause, error.remedy) if isinstance(error, LeaseGridError) else (str(error), "")
    kind = fault_kind(error)
    return Fault(
        kind=kind,
        message=f"the checkpoint cannot be had from the store at {endpoint}: {cause}",
        remedy=remedy or "see whether the job's store stands, and whether this member has scratch enough",
    )


def fault_kind(error: LeaseGridError | OSError) -> FaultKind:
    """What is wrong, in the wire's words. What no other try can mend is Unsupported."""
    match error:
        case StoreFencedError():
            return FaultKind.FENCED
        case CheckpointDamagedError() | CheckpointVersionError():
            return FaultKind.UNSUPPORTED
        case RefusedError(reason=FaultKind.LEASE_EXPIRED):
            return FaultKind.LEASE_EXPIRED
        case InputError() | OSError():
            return FaultKind.CAPACITY_EXCEEDED if _is_full(error.__cause__ or error) else FaultKind.IO_ERROR
        case _:
            return FaultKind.DISCONNECTED


def _is_full(error: BaseException) -> bool:
    return not isinstance(error, OSError) or error.errno in (errno.ENOSPC, errno.EDQUOT)
