"""What a coordinator tells its fabric, and what it is told."""

import asyncio

import msgspec
import pytest

from leasegrid_operator.broker.limits import Limits
from tasklet_runner.coordinator.progress import Phase, Progress, StageIndexes, StageProgress, TimelinePoint
from tasklet_runner.hosting import reporting
from tasklet_runner.hosting.reporting import Reporter
from tasklet_runner.wire.errors import LeaseEndedError, UnreachableError
from tasklet_runner.wire.jobs import (
    MAX_INDEX_CHARACTERS,
    TOLD_POINTS,
    Ending,
    Instruction,
    JobName,
    JobReport,
    Order,
)

JOB = JobName(kind="Job", namespace="ns", name="j", uid="u")
ENDING = Ending(complete=True, reason="Finished")
SOME = StageIndexes("0", "2")


class Run:
    """A run that is watched."""

    def __init__(self, points: int = 3, stages: int = 1, indexes: StageIndexes = SOME) -> None:
        self.stopped = ""
        self._stages = tuple(StageProgress(name=f"main{number}", total=3, succeeded=1) for number in range(stages))
        self._indexes = indexes
        self.points = tuple(TimelinePoint(float(number), 1, 1, number) for number in range(points))

    def progress(self) -> Progress:
        return Progress(phase=Phase.RUNNING, elapsed=1.0, stages=self._stages)

    def indexes(self, stage: str) -> StageIndexes:
        return self._indexes

    def timeline(self) -> tuple[TimelinePoint, ...]:
        return self.points

    def stop(self, reason: str) -> None:
        self.stopped = reason


class Told(list[JobReport]):
    """Reports; `heard` is set by the first."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()


def reporter(answers: list[Instruction | Exception], kind: str = "Job") -> tuple[Reporter, Told, list[str]]:
    """A reporter whose reports get these answers, the last one again and again."""
    told = Told()
    fenced: list[str] = []

    async def send(report: JobReport) -> Instruction:
        told.append(report)
        told.heard.set()
        answer = answers[min(len(told), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Reporter(msgspec.structs.replace(JOB, kind=kind), 2, send, fenced.append), told, fenced


async def follow_once(subject: Reporter, run: Run, told: Told) -> None:
    """Follow until the first report is answered."""
    task = asyncio.create_task(subject.follow(run))
    async with asyncio.timeout(30):
        await told.heard.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_end_is_told_until_it_stands_in_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(reporting, "PAUSE_SECONDS", 0.0)
    subject, told, _ = reporter([UnreachableError("nobody"), Instruction(), Instruction(recorded=True)])
    asyncio.run(subject.finish(Run(), ENDING))
    assert told[-1].timeline[-1] == (1000, 0, 0, 1), "the last change point is the end"
    assert [(one.sequence, one.ending, one.phase) for one in told] == [(n, ENDING, "Finishing") for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("answer", "stopped", "why"),
    [
        pytest.param(Instruction(order=Order.STOP, why="suspended"), "suspended", [], id="a stop ends the run"),
        pytest.param(Instruction(order=Order.FENCED, why="term 3"), "", ["term 3"], id="a fence ends the process"),
        pytest.param(LeaseEndedError("the job is gone"), "", ["the job is gone"], id="so does a job that is gone"),
    ],
)
def test_answers_are_obeyed(answer: Instruction | Exception, stopped: str, why: list[str]) -> None:
    subject, told, fenced = reporter([answer])
    run = Run()
    asyncio.run(follow_once(subject, run, told))
    assert (run.stopped, fenced[:1]) == (stopped, why)


def test_a_long_timeline_is_thinned_with_both_ends_kept() -> None:
    subject, told, _ = reporter([Instruction()])
    asyncio.run(follow_once(subject, Run(points=5000), told))
    points = told[0].timeline
    assert len(points) <= TOLD_POINTS
    assert (points[0], points[-1]) == ((0, 1, 1, 0), (4999_000, 1, 1, 4999))


def test_each_report_says_which_chunks_are_done() -> None:
    subject, told, _ = reporter([Instruction()])
    asyncio.run(follow_once(subject, Run(), told))
    assert [(one.completed_indexes, one.failed_indexes) for one in told[0].stages] == [("0", "2")]


@pytest.mark.parametrize(
    ("kind", "told_of"),
    [
        pytest.param("Job", [("0", "2"), ("", "")], id="of a job: its own input, and not its aggregate"),
        pytest.param("TaskGraph", [("", ""), ("", "")], id="of a graph: of no task"),
    ],
)
def test_which_chunks_are_done_is_told(kind: str, told_of: list[tuple[str, str]]) -> None:
    subject, told, _ = reporter([Instruction()], kind)
    asyncio.run(follow_once(subject, Run(stages=2), told))
    assert [(one.completed_indexes, one.failed_indexes) for one in told[0].stages] == told_of


@pytest.mark.parametrize(("kind", "stages"), [("Job", 2), ("TaskGraph", 64)])
def test_the_longest_report_fits_into_a_body_that_the_broker_takes(kind: str, stages: int) -> None:
    subject, told, _ = reporter([Instruction()], kind)
    full = StageIndexes("1," * (MAX_INDEX_CHARACTERS // 2), "1," * (MAX_INDEX_CHARACTERS // 2))
    asyncio.run(follow_once(subject, Run(5000, stages, full), told))
    assert len(msgspec.json.encode(told[0])) < Limits().body_bytes * 3 / 4
