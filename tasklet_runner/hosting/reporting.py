"""What a coordinator tells its fabric: transitions at once, counts at most once a second, the end until it is heard."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from tasklet_runner.coordinator.progress import Phase, Progress, StageIndexes, StageProgress, TimelinePoint
from tasklet_runner.wire.errors import LeaseEndedError, UnreachableError
from tasklet_runner.wire.jobs import TOLD_POINTS, ChunkTally, Ending, Instruction, JobName, JobReport, Order

LOOK_SECONDS = 0.1
COUNTS_SECONDS = 1.0
PAUSE_SECONDS = 0.5


_UNTOLD = StageIndexes("", "")


class Watched(Protocol):
    """What is reported of; `coordinator.engine.Coordinator` is one."""

    def progress(self) -> Progress:
        """A snapshot."""
        ...

    def indexes(self, stage: str) -> StageIndexes:
        """Which chunks of a stage are done."""
        ...

    def timeline(self) -> tuple[TimelinePoint, ...]:
        """The run's shape so far."""
        ...

    def stop(self, reason: str) -> None:
        """End the run."""
        ...


Send = Callable[[JobReport], Awaitable[Instruction]]
"""Raises UnreachableError when nobody could answer, LeaseEndedError when the job is not there any more."""


class Reporter:
    """Reports of one job under one term. `fenced` is called when another coordinator took over, or none is wanted."""

    def __init__(self, job: JobName, term: int, send: Send, fenced: Callable[[str], None]) -> None:
        self._job = job
        self._term = term
        self._send = send
        self._fenced = fenced
        self._sequence = 0

    async def follow(self, watched: Watched) -> None:
        """Report until cancelled, and obey what is answered."""
        loop = asyncio.get_running_loop()
        told, due = "", 0.0
        while True:
            progress = watched.progress()
            phase = f"{progress.phase} {progress.waiting_because}"
            if phase != told or loop.time() >= due:
                told, due = phase, loop.time() + COUNTS_SECONDS
                await self._tell(watched, self._report(watched, progress, None))
            await asyncio.sleep(LOOK_SECONDS)

    async def finish(self, watched: Watched, ending: Ending) -> None:
        """Say how the job ended, until the fabric has written it down."""
        while True:
            report = self._report(watched, watched.progress(), ending)
            answer = await self._tell(watched, report)
            if answer is not None and (answer.recorded or answer.order is not Order.GO_ON):
                return
            # What is told is written at once; the next word asks whether it stands.
            await asyncio.sleep(LOOK_SECONDS if answer is not None else PAUSE_SECONDS)

    async def _tell(self, watched: Watched, report: JobReport) -> Instruction | None:
        try:
            answer = await self._send(report)
        except UnreachableError:
            return None  # work goes on; the next report says more
        except LeaseEndedError as error:
            self._fenced(str(error))
            return None
        if answer.order is Order.FENCED:
            self._fenced(answer.why)
        elif answer.order is Order.STOP and report.ending is None:
            watched.stop(answer.why or "Stopped")
        return answer

    def _report(self, watched: Watched, progress: Progress, ending: Ending | None) -> JobReport:
        self._sequence += 1
        timeline, stages = watched.timeline(), progress.stages
        # Those of a Job's own input alone are shown; of sixty-four tasks they would make a report too large.
        indexed = stages[:1] if self._job.kind == "Job" else ()
        return JobReport(
            uid=self._job.uid,
            term=self._term,
            sequence=self._sequence,
            phase=str(Phase.FINISHING if ending is not None else progress.phase),
            stages=(
                *(_tally(stage, watched.indexes(stage.name)) for stage in indexed),
                *(_tally(stage, _UNTOLD) for stage in stages[len(indexed) :]),
            ),
            workers=progress.workers,
            waiting_because=progress.waiting_because[:4096],
            timeline=_thinned(timeline if ending is None else (*timeline, _last(progress))),
            ending=ending,
        )


def _tally(stage: StageProgress, indexes: StageIndexes) -> ChunkTally:
    return ChunkTally(
        name=stage.name,
        state=str(stage.state),
        total=stage.total,
        succeeded=stage.succeeded,
        failed=stage.failed,
        retried=stage.retried,
        cached=stage.cached,
        skipped=stage.skipped,
        running=stage.running,
        completed_indexes=indexes.completed,
        failed_indexes=indexes.failed,
    )


def _last(progress: Progress) -> TimelinePoint:
    """Where the run stands as it ends: the timeline itself is noted between looks."""
    done = sum(stage.done for stage in progress.stages)
    return TimelinePoint(progress.elapsed, progress.workers, 0, done)


def _thinned(points: tuple[TimelinePoint, ...]) -> tuple[tuple[int, int, int, int], ...]:
    """Evenly, the first and the last kept."""
    step = -(-len(points) // (TOLD_POINTS - 1)) if len(points) > TOLD_POINTS else 1
    kept = list(points[::step])
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return tuple((round(one.seconds * 1000), one.leased, one.running, one.done) for one in kept)
