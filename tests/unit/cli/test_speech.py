"""What snapshots say."""

import msgspec
import pytest

from leasegrid.cli import speech
from tasklet_runner.coordinator.progress import Phase, Progress, StageProgress, StageState

STAGE = StageProgress(name="tile", state=StageState.RUNNING, total=1000, succeeded=400, running=8)


BASE = Progress(phase=Phase.RUNNING, elapsed=3.0, stages=(STAGE,), workers=2, slots=2, leases=1, rate=200.0)


def snapshot(phase: Phase = Phase.RUNNING, **changes: object) -> Progress:
    return msgspec.structs.replace(BASE, phase=phase, **changes)


@pytest.mark.parametrize(
    ("progress", "left"),
    [
        pytest.param(snapshot(), 3.0, id="what is left by the rate of now"),
        pytest.param(snapshot(rate=0.0), None, id="nothing moves, so nobody knows"),
        pytest.param(snapshot(stages=(StageProgress(name="x"),)), None, id="the input is still being listed"),
        pytest.param(snapshot(stages=(StageProgress(name="x", total=5, succeeded=5),)), 0.0, id="all is done"),
    ],
)
def test_seconds_left(progress: Progress, left: float | None) -> None:
    assert speech.seconds_left(progress) == left


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        pytest.param(
            snapshot(),
            "fractal: running · 400 of 1,000 chunks · 2 workers · 1 lease · 200/s · about 3 s left",
            id="the usual line",
        ),
        pytest.param(
            snapshot(stages=(StageProgress(name="x", total=9, succeeded=4, failed=1, retried=2, cached=3),), rate=0.0),
            "fractal: running · 5 of 9 chunks, 1 failed, 2 retried, 3 cached · 2 workers · 1 lease",
            id="failed, retried and cached chunks where there are any",
        ),
        pytest.param(
            snapshot(
                Phase.WAITING_FOR_CAPACITY, workers=0, slots=0, leases=0, rate=0.0, waiting_because="pool a is empty"
            ),
            "fractal: waiting for capacity · 400 of 1,000 chunks · 0 workers · waiting: pool a is empty",
            id="why it waits",
        ),
        pytest.param(
            snapshot(stages=(STAGE, StageProgress(name="mosaic")), slots=4, rate=0.0),
            "fractal: running · tile running: 400 of 1,000 chunks · mosaic waiting · 2 workers · 4 slots · 1 lease",
            id="several stages are named, and slots where they differ from workers",
        ),
    ],
)
def test_plain_line(progress: Progress, line: str) -> None:
    assert speech.plain_line("fractal", progress) == line


def test_of_many_tasks_those_that_run_or_failed_are_named_and_the_others_counted() -> None:
    done = [StageProgress(name=f"t{number}", state=StageState.SUCCEEDED, total=1, succeeded=1) for number in range(9)]
    bad = StageProgress(name="bad", state=StageState.FAILED, total=2, succeeded=1, failed=1)
    after = StageProgress(name="after", state=StageState.SKIPPED, total=1, skipped=1)
    stages = (*done, bad, after, STAGE, StageProgress(name="later"))

    assert speech.stages(stages) == [
        "1 task waiting",
        "9 tasks succeeded",
        "1 task skipped",
        "bad failed: 2 of 2 chunks, 1 failed",
        "tile running: 400 of 1,000 chunks",
    ]


def test_a_skipped_task_says_why() -> None:
    after = StageProgress(name="after", state=StageState.SKIPPED, total=1, skipped=1)

    assert speech.task(after) == "skipped: a task that it waits for has failed"


def test_a_task_that_begins_is_said_at_once() -> None:
    waiting = StageProgress(name="later")
    _, said = speech.plain_lines("job", snapshot(stages=(STAGE, waiting)), speech.Said())
    begun = msgspec.structs.replace(waiting, state=StageState.RUNNING)
    lines, _ = speech.plain_lines("job", snapshot(stages=(STAGE, begun), elapsed=3.1), said)

    assert len(lines) == 1


def test_a_change_of_phase_is_said_at_once() -> None:
    lines, said = speech.plain_lines("job", snapshot(Phase.ACQUIRING), speech.Said())
    more, _ = speech.plain_lines("job", snapshot(elapsed=3.1), said)

    assert len(lines) == 1
    assert more[0].startswith("job: running")


def test_without_a_change_a_line_comes_every_five_seconds() -> None:
    _, said = speech.plain_lines("job", snapshot(elapsed=1.0), speech.Said())
    soon, said = speech.plain_lines("job", snapshot(elapsed=5.9), said)
    later, said = speech.plain_lines("job", snapshot(elapsed=6.0), said)
    after, _ = speech.plain_lines("job", snapshot(elapsed=6.2), said)

    assert (len(soon), len(later), len(after)) == (0, 1, 0)


def test_a_notice_is_said_once() -> None:
    first, said = speech.plain_lines("job", snapshot(notices=("cores: 2",)), speech.Said())
    second, _ = speech.plain_lines("job", snapshot(notices=("cores: 2", "late")), said)

    assert first[0] == "job: cores: 2"
    assert second == ["job: late"]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        pytest.param((STAGE,), "", id="nothing was done before"),
        pytest.param(
            (msgspec.structs.replace(STAGE, resumed=412),),
            "resumed: 412 of 1,000 chunks were done (generation 3)",
            id="some of the chunks",
        ),
        pytest.param(
            (msgspec.structs.replace(STAGE, resumed=412), StageProgress(name="mosaic")),
            "resumed: 412 chunks were done (generation 3)",
            id="how many there are is not known yet",
        ),
    ],
)
def test_what_an_earlier_run_did_is_said_with_the_generation(stages: tuple[StageProgress, ...], said: str) -> None:
    progress = snapshot(stages=stages, generation=3)

    assert speech.resumed(progress) == said
    assert said in speech.plain_line("fractal", progress)
