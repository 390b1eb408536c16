"""What becomes of a chunk after a run: committed, stored by its member first, tried again, or failed."""

import heapq
import itertools
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tasklet_runner.coordinator.announcing import PART
from tasklet_runner.coordinator.checkpoints import Checkpoints
from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.commits import CommitWriter, Done
from tasklet_runner.coordinator.handles import Frame, Handle, Held
from tasklet_runner.coordinator.lanes import Lane
from tasklet_runner.coordinator.partition_stores import GRANT_SECONDS
from tasklet_runner.coordinator.progress import ChunkFailure
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.coordinator.unstored import Unstored
from tasklet_runner.plan.retry import ELSEWHERE, decide
from tasklet_runner.plan.types import Stage
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome, Result
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tasklet_runner.wire.work import Discard, Grant, Stored


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
            if not lane.run.over:
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
        self._unstored = Unstored(surroundings.store, self._granted_in_vain, self._not_stored)
        self.checkpoints = Checkpoints(surroundings)
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
            if lane.run.over:
                _discard(handle, result)
                continue
            if outcome.parts:
                _check_parts(handle, lane, outcome)
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
        if held is None or held.lane.run.over:
            return
        if message.fault is None:
            self._writer.add(stored(held, message.files))
            return
        output = held.lane.run.output
        if output is not None:
            output.store.look()
            if message.fault.kind is FaultKind.IO_ERROR:
                held.lane.run.end_with(_no_room(held.lane.run.stage, output.store.name, message.fault))
                return
        elif message.fault.kind is FaultKind.DISCONNECTED:
            self._unstored.take(held, message.fault)
            return
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
            stage=lane.run.label,
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
        if lane.run.over:
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
        for generation in lane.run.reads:
            generation.store.look()
        if not lane.run.readable:
            # It could not be fetched because the store is gone, which the chunk cannot help.
            lane.put_back(chunk)
            return
        chunk.failures += 1
        counted = msgspec.structs.replace(fault, kind=FaultKind.DISCONNECTED)
        decision = decide(counted, chunk.failures, chunk.deaths, lane.run.stage.retry, self._surroundings.jitter())
        if not decision.retry:
            self.fail(lane, chunk, msgspec.structs.replace(decision.fault, kind=fault.kind))
            return
        lane.run.retried += 1
        self.retries.push(time.monotonic() + decision.delay_milliseconds / 1000, lane, chunk)

    def _granted_in_vain(self, held: Held) -> None:
        if not held.lane.run.over:
            held.lane.put_back(held.chunk)

    def _not_stored(self, held: Held, fault: Fault) -> None:
        if not held.lane.run.over:
            self._transient(held.lane, held.chunk, fault)

    def _grant(self, handle: Handle, lane: Lane, chunk: Chunk, outcome: Outcome) -> None:
        held = handle.held[chunk.index, chunk.attempt] = Held(lane, chunk, outcome)
        if lane.run.output is None:
            self._post_grant(handle, held)
        else:
            lane.run.output.store.when_open(lambda: self._post_grant(handle, held))

    def _post_grant(self, handle: Handle, held: Held) -> None:
        chunk, output = held.chunk, held.lane.run.output
        if handle.held.get((chunk.index, chunk.attempt)) is not held:
            return
        if output is not None:
            prefix = output.prefix(chunk.index, chunk.attempt)
            endpoint, grant = output.store.put_grant(prefix, held.outcome.held_bytes)
        else:
            prefix = f"{held.lane.run.stage.name}/{chunk.index}/{chunk.attempt}"
            endpoint, grant = self._put_grant(prefix, held.outcome.held_bytes)
        held.endpoint = endpoint
        handle.post(Grant(chunk.index, chunk.attempt, endpoint, prefix, grant))

    def _put_grant(self, key_prefix: str, max_bytes: int) -> tuple[str, str]:
        store = self._surroundings.store
        grant = PutGrant(
            store=store.uid,
            term=self._surroundings.term,
            key_prefix=key_prefix,
            max_bytes=max_bytes,
            expires_at=time.time() + GRANT_SECONDS,
        )
        return store.endpoint, sign(grant, self._surroundings.holder)


def succeeded(lane: Lane, chunk: Chunk, outcome: Outcome) -> Done:
    """A chunk whose outputs came in the frame."""
    if lane.run.output is not None:
        return Done(lane, chunk, _record(lane, chunk, outcome, ()))
    prefix = f"{lane.run.stage.name}/{chunk.index}/{chunk.attempt}/"
    if not outcome.files:
        return Done(lane, chunk, _record(lane, chunk, outcome), (NewObject(prefix + "stdout", outcome.stdout),))
    names = ("stdout", *(f"out/{file.name}" for file in outcome.files))
    data = (outcome.stdout, *(file.data for file in outcome.files))
    objects = tuple(NewObject(prefix + name, content) for name, content in zip(names, data, strict=True))
    return Done(lane, chunk, _record(lane, chunk, outcome, names), objects)


def stored(held: Held, files: Iterable[str]) -> Done:
    """A chunk whose outputs its member put into the store; `files` are suffixes of objects."""
    if held.lane.run.output is not None:
        names = tuple(f"{PART}{number}" for number, _ in held.outcome.parts)
    else:
        names = ("stdout", *(name for name in files if name != "stdout"))
    return Done(held.lane, held.chunk, _record(held.lane, held.chunk, held.outcome, names))


def _record(lane: Lane, chunk: Chunk, outcome: Outcome, names: tuple[str, ...] = ("stdout",)) -> CommitRecord:
    return CommitRecord(
        lane.run.label,
        chunk.index,
        chunk.attempt,
        chunk.chunk_id,
        None,
        names,
        outcome.fuel_used,
        outcome.wall_microseconds,
        chunk.path,
    )


def _discard(handle: Handle, result: Result) -> None:
    if result.outcome.held_bytes:
        handle.post(Discard(result.index, result.attempt))


def _check_parts(handle: Handle, lane: Lane, outcome: Outcome) -> None:
    if any(not 0 <= number < (lane.run.output.partitions if lane.run.output else 0) for number, _ in outcome.parts):
        raise ProtocolError(
            f"{handle.member.name} names a partition that {lane.run.stage.name} does not have",
            remedy="the member is broken; replace it",
        )


def _no_room(stage: Stage, store: str, fault: Fault) -> Fault:
    size = stage.shuffle.size if stage.shuffle is not None else 0
    return Fault(
        kind=fault.kind,
        message=f"{store} ({size:,} bytes) takes no more: {fault.message}",
        remedy=f"enlarge tasks[{stage.name}].shuffle.size",
    )
