"""The chunks of a running stage: counted, queued by what they require, taken in frames."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasklet_runner.coordinator import sizing
from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.feeding import ChunkSource
from tasklet_runner.coordinator.partitions import Generation
from tasklet_runner.coordinator.programs import ReadyProgram
from tasklet_runner.coordinator.progress import MAX_FAILURES_KEPT, ChunkFailure, StageIndexes, StageProgress, StageState
from tasklet_runner.plan.following import best
from tasklet_runner.plan.indexes import IndexRanges
from tasklet_runner.plan.types import Requirements, Stage
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Fetch

MAX_BACKLOG_CHUNKS = 8192
MAX_BACKLOG_BYTES = 64 * 1024 * 1024
"""The feed waits while so much is queued, so that memory does not grow with the job."""


@dataclass(eq=False)
class Lane:
    """Chunks of one stage with one requirement. `outstanding` counts those that are generated and not committed;
    `busy` the slots that run some; `mean` is a task's wall time in microseconds, 0 while unknown.
    """

    run: "StageRun"
    requirements: Requirements
    queue: deque[Chunk] = field(default_factory=deque)
    outstanding: int = 0
    busy: int = 0
    mean: float = 0.0
    largest_frame: int = 1

    @property
    def remaining(self) -> int:
        """Chunks that still need a slot; while the stage's input is being read, at most so many, or -1: unknown."""
        if self.run.fed:
            return self.outstanding
        total = self.run.source.total
        return total if total < 0 else max(0, total - self.run.succeeded - self.run.failed)

    @property
    def may_grow(self) -> bool:
        """True while one more slot may work for this stage."""
        return self.run.busy < self.run.stage.parallelism

    def measure(self, wall_microseconds: int, count: int) -> None:
        """Learn from tasks that ran."""
        if count:
            self.mean = sizing.mean_after(self.mean, wall_microseconds, count)

    def take(self, slots: int, member: str) -> list[Chunk]:
        """The chunks of the next frame, for this member; `slots` could take some of the queue."""
        backlog = len(self.queue) if self.run.fed else sizing.MAX_FRAME_TASKS * 2 * slots
        limit = sizing.frame_tasks(self.largest_frame, self.mean, backlog, slots)
        taken: list[Chunk] = []
        size = 0
        while self.queue and len(taken) < limit and size < sizing.MAX_FRAME_BYTES:
            # An archive travels alone: it is forgotten when its frame is done.
            if self.queue[0].blob is not None and taken:
                break
            chunk = self._next_for(member)
            size += chunk.size
            taken.append(chunk)
            # So does what its member fetches: the next frame fetches while this one runs. And what has a /durable.
            if chunk.blob is not None or self.run.reads or self.run.stage.tasklet.durable:
                break
        self.largest_frame = max(self.largest_frame, len(taken))
        self.run.left(len(taken), size)
        return taken

    def _next_for(self, member: str) -> Chunk:
        followed = next((generation.followed for generation in self.run.reads if generation.followed), None)
        if followed is None:
            return self.queue.popleft()
        position = best((chunk.index for chunk in self.queue), followed, member)
        chunk = self.queue[position]
        del self.queue[position]
        return chunk

    def put_back(self, chunk: Chunk) -> None:
        """A chunk that did not run goes to the head of the queue."""
        self.queue.appendleft(chunk)
        self.run.backlog += 1
        self.run.backlog_bytes += chunk.size


@dataclass(eq=False)
class StageRun:
    """One stage while its wave runs. `number` names its program on connections. `fault` ends the whole stage.

    Attempts are numbered from `first_attempt` in steps of `stride`, so that stages of one wave never name the same
    attempt of the same index at a member: what a member holds is named by index and attempt alone.
    `completed` and `broken` are the indexes of what `succeeded` and `failed` count.
    `arrived` is set with new chunks. A shuffled stage puts its partitions into `output`; `reads` are the productions
    whose partitions are its chunks. `abandoned`: nothing of it counts, as the store of its output is lost.
    """

    stage: Stage
    number: int
    program: ReadyProgram
    source: ChunkSource
    output: Generation | None = None
    reads: tuple[Generation, ...] = ()
    first_attempt: int = 1
    stride: int = 1
    lanes: dict[Requirements, Lane] = field(default_factory=dict)
    generated: int = 0
    completed: IndexRanges = field(default_factory=IndexRanges)
    broken: IndexRanges = field(default_factory=IndexRanges)
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    checkpoints: int = 0
    checkpoints_failed: int = 0
    cached: int = 0
    skipped: int = 0
    resumed: int = 0
    fed: bool = False
    fault: Fault | None = None
    abandoned: bool = False
    failures: list[ChunkFailure] = field(default_factory=list)
    backlog: int = 0
    backlog_bytes: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def label(self) -> str:
        """The stage's name in commit records."""
        return self.output.label if self.output is not None else self.stage.name

    @property
    def over(self) -> bool:
        """True when nothing more is to be done of it, whatever its chunks came to."""
        return self.fault is not None or self.abandoned

    @property
    def readable(self) -> bool:
        """True while what it reads can be fetched."""
        return all(generation.store.serves for generation in self.reads)

    @property
    def busy(self) -> int:
        """Slots that work for this stage."""
        return sum(lane.busy for lane in self.lanes.values())

    @property
    def total(self) -> int:
        """How many chunks there are, -1 while unknown."""
        return self.generated if self.fed else self.source.total

    @property
    def full(self) -> bool:
        """True when the feed should wait."""
        return self.backlog >= MAX_BACKLOG_CHUNKS or self.backlog_bytes >= MAX_BACKLOG_BYTES

    @property
    def failed_too_much(self) -> bool:
        """True when the stage as a whole has failed."""
        return self.fault is not None or self.failed > self.stage.max_failed_chunks

    @property
    def state(self) -> StageState:
        """Running until the last chunk is done."""
        if not self.finished.is_set():
            return StageState.RUNNING
        return StageState.FAILED if self.failed_too_much else StageState.SUCCEEDED

    def lane_for(self, requirements: Requirements | None) -> Lane:
        """The lane of chunks with these requirements; None: the stage's own."""
        wanted = requirements or self.stage.lease.requirements
        lane = self.lanes.get(wanted)
        if lane is None:
            lane = self.lanes[wanted] = Lane(self, wanted)
        return lane

    def enqueue(self, chunks: Iterable[Chunk]) -> None:
        """New chunks wait in their lanes."""
        for chunk in chunks:
            lane = self.lane_for(chunk.requirements)
            chunk.attempt = self.first_attempt - self.stride
            lane.queue.append(chunk)
            lane.outstanding += 1
            self.backlog += 1
            self.backlog_bytes += chunk.size
        self.arrived.set()

    def left(self, count: int, size: int) -> None:
        """Chunks left the queues for a frame."""
        self.backlog -= count
        self.backlog_bytes -= size
        if not self.full:
            self.room.set()

    def note_end(self, commit: CommitRecord) -> None:
        """A chunk is done, and that stands in the store."""
        if commit.fault is None:
            self.succeeded += 1
            self.completed.add(commit.index)
        else:
            self.failed += 1
            self.broken.add(commit.index)

    def note_failure(self, failure: ChunkFailure) -> None:
        """Keep the first failures for the report."""
        if len(self.failures) < MAX_FAILURES_KEPT:
            self.failures.append(failure)

    def end_with(self, fault: Fault) -> None:
        """All chunks that are not done fail with this one fault."""
        if self.fault is not None:
            return
        self.fault = fault
        self.note_failure(ChunkFailure(stage=self.stage.name, index=-1, chunk_id="", attempts=1, fault=fault))
        self.failed += max(self.total, self.generated, 1) - self.succeeded - self.failed
        self.broken = self.completed.rest(max(self.total, self.generated))
        self._clear()
        self.finished.set()

    def _clear(self) -> None:
        for lane in self.lanes.values():
            lane.queue.clear()
            lane.outstanding = 0
        self.backlog = self.backlog_bytes = 0
        self.room.set()

    def abandon(self) -> None:
        """Forget all that is not done: the stage is run again as another."""
        self.abandoned = True
        self._clear()

    def fetches(self, partition: int) -> tuple[Fetch, ...]:
        """What the member that runs this chunk gets itself. What is read must be readable."""
        return tuple(fetch for generation in self.reads for fetch in generation.fetches(partition))

    def settle(self) -> None:
        """Notice the end of the stage."""
        if self.fed and self.succeeded + self.failed >= self.generated:
            self.finished.set()

    def indexes(self) -> StageIndexes:
        """Which chunks are done."""
        return StageIndexes(self.completed.text(), self.broken.text())

    def progress(self) -> StageProgress:
        """Counts for people."""
        return StageProgress(
            name=self.stage.name,
            state=self.state,
            total=self.total,
            succeeded=self.succeeded,
            failed=self.failed,
            retried=self.retried,
            checkpoints=self.checkpoints,
            checkpoints_failed=self.checkpoints_failed,
            cached=self.cached,
            skipped=self.skipped,
            running=self.busy,
            resumed=self.resumed,
        )
