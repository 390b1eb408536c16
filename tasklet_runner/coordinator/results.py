"""What becomes of a chunk after a run: committed, stored by its member first, tried again, or failed."""

import heapq
import itertools
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.commits import CommitWriter, Done
from tasklet_runner.coordinator.handles import Frame, Handle, Held
from tasklet_runner.coordinator.lanes import Lane
from tasklet_runner.coordinator.progress import ChunkFailure
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.plan.retry import ELSEWHERE, decide
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome, Result
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tasklet_runner.wire.work import Grant, Stored

GRANT_SECONDS = 300


class RetryHeap:
    """Chunks that wait for their back-off, the earliest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Lane, Chunk]] = []
        self._order = itertools.count()

    def push(self, due: float, lane: Lane, chunk: Chunk) -> None:
        """The chunk is due at that instant of the monotonic clock."""
        heapq.heappush(self._heap, (due, next(self._order), lane, chunk))

    def release(self, now: float) -> int:
        """Put the chunks that are due into their lanes; returns how many."""
        released = 0
        while self._heap and self._heap[0][0] <= now:
            _, _, lane, chunk = heapq.heappop(self._heap)
            if lane.run.fault is None:
                lane.put_back(chunk)
                released += 1
        return released


class ResultTaker:
    """Takes outcomes. `end_handle` is called for a member that is of no further use."""

    def __init__(
        self, surroundings: Surroundings, writer: CommitWriter, end_handle: Callable[[Handle, str], None]
    ) -> None:
        self._surroundings = surroundings
        self._writer = writer
        self._end_handle = end_handle
        self.retries = RetryHeap()

    def take(self, handle: Handle, frame: Frame, results: Sequence[Result]) -> None:
        """Outcomes of a frame's tasks. A result that is not of the frame's current attempt is ignored."""
        wall = 0
        lane = frame.lane
        for result in results:
            chunk = frame.chunks.pop(result.index, None)
            if chunk is None or chunk.attempt != result.attempt:
                continue
            outcome = result.outcome
            wall += outcome.wall_microseconds
            if outcome.fault is not None:
                self._fault(handle, lane, chunk, outcome)
            elif outcome.held_bytes:
                self._grant(handle, lane, chunk, outcome)
            else:
                self._writer.add(succeeded(lane, chunk, outcome))
        lane.measure(wall, len(results))

    def take_stored(self, handle: Handle, message: Stored) -> None:
        """A held output is in the store, or cannot be put there."""
        held = handle.held.pop((message.index, message.attempt), None)
        if held is None:
            return
        if message.fault is None:
            self._writer.add(stored(held, message.files))
        else:
            # Whether store, way or disk failed cannot be told apart here, so every kind is tried again.
            self._transient(held.lane, held.chunk, message.fault)

    def fail(self, lane: Lane, chunk: Chunk, fault: Fault, outcome: Outcome | None = None) -> None:
        """The chunk ends with this fault."""
        attempts = max(1, (chunk.attempt - lane.run.first_attempt) // lane.run.stride + 1)
        lane.run.note_failure(
            ChunkFailure(
                stage=lane.run.stage.name, index=chunk.index, chunk_id=chunk.chunk_id, attempts=attempts, fault=fault
            )
        )
        commit = CommitRecord(
            stage=lane.run.stage.name,
            index=chunk.index,
            attempt=chunk.attempt,
            chunk_id=chunk.chunk_id,
            fault=fault,
            objects=(),
            fuel_used=outcome.fuel_used if outcome else 0,
            wall_microseconds=outcome.wall_microseconds if outcome else 0,
            path=chunk.path,
        )
        self._writer.add(Done(lane, chunk, commit))

    def elsewhere(self, lane: Lane, chunk: Chunk, reason: str, *, died: bool) -> None:
        """The chunk's member is gone: it goes to another at once, unless members keep dying of it (`died`: while it
        ran).
        """
        if lane.run.fault is not None:
            return
        chunk.deaths += died
        lane.run.retried += died
        fault = Fault(kind=FaultKind.DISCONNECTED, message=reason, remedy="look at the member's log")
        decision = decide(fault, 0, chunk.deaths, lane.run.stage.retry, 0.0)
        if decision.retry:
            lane.put_back(chunk)
        else:
            self.fail(lane, chunk, decision.fault)

    def _fault(self, handle: Handle, lane: Lane, chunk: Chunk, outcome: Outcome) -> None:
        fault = outcome.fault
        if fault is None:
            return
        if fault.kind in ELSEWHERE:
            self.elsewhere(lane, chunk, f"{handle.member.name}: {fault.message}", died=True)
            self._end_handle(handle, f"{fault.reason}: {fault.message}")
        elif fault.transient:
            self._transient(lane, chunk, fault)
        else:
            self.fail(lane, chunk, fault, outcome)

    def _transient(self, lane: Lane, chunk: Chunk, fault: Fault) -> None:
        chunk.failures += 1
        counted = msgspec.structs.replace(fault, kind=FaultKind.DISCONNECTED)
        decision = decide(counted, chunk.failures, chunk.deaths, lane.run.stage.retry, self._surroundings.jitter())
        if not decision.retry:
            self.fail(lane, chunk, msgspec.structs.replace(decision.fault, kind=fault.kind))
            return
        lane.run.retried += 1
        self.retries.push(time.monotonic() + decision.delay_milliseconds / 1000, lane, chunk)

    def _grant(self, handle: Handle, lane: Lane, chunk: Chunk, outcome: Outcome) -> None:
        handle.held[chunk.index, chunk.attempt] = Held(lane, chunk, outcome)
        prefix = f"{lane.run.stage.name}/{chunk.index}/{chunk.attempt}"
        store = self._surroundings.store
        grant = PutGrant(
            store=store.uid,
            term=self._surroundings.term,
            key_prefix=prefix,
            max_bytes=outcome.held_bytes,
            expires_at=time.time() + GRANT_SECONDS,
        )
        handle.post(Grant(chunk.index, chunk.attempt, store.endpoint, prefix, sign(grant, self._surroundings.holder)))


def succeeded(lane: Lane, chunk: Chunk, outcome: Outcome) -> Done:
    """A chunk whose outputs came in the frame."""
    prefix = f"{lane.run.stage.name}/{chunk.index}/{chunk.attempt}/"
    if not outcome.files:
        return Done(lane, chunk, _record(lane, chunk, outcome), (NewObject(prefix + "stdout", outcome.stdout),))
    names = ("stdout", *(f"out/{file.name}" for file in outcome.files))
    data = (outcome.stdout, *(file.data for file in outcome.files))
    objects = tuple(NewObject(prefix + name, content) for name, content in zip(names, data, strict=True))
    return Done(lane, chunk, _record(lane, chunk, outcome, names), objects)


def stored(held: Held, files: Iterable[str]) -> Done:
    """A chunk whose outputs its member put into the store; `files` are suffixes of objects."""
    names = ("stdout", *(name for name in files if name != "stdout"))
    return Done(held.lane, held.chunk, _record(held.lane, held.chunk, held.outcome, names))


def _record(lane: Lane, chunk: Chunk, outcome: Outcome, names: tuple[str, ...] = ("stdout",)) -> CommitRecord:
    return CommitRecord(
        lane.run.stage.name,
        chunk.index,
        chunk.attempt,
        chunk.chunk_id,
        None,
        names,
        outcome.fuel_used,
        outcome.wall_microseconds,
        chunk.path,
    )
