"""What a snapshot of a run says to people, as words: for a terminal's footer and for plain lines. Pure."""

from dataclasses import dataclass

from leasegrid.cli import words
from tasklet_runner.coordinator.progress import Phase, Progress, StageProgress, StageState

_PHASES = {
    Phase.PREPARING: "preparing",
    Phase.ACQUIRING: "acquiring workers",
    Phase.RUNNING: "running",
    Phase.WAITING_FOR_CAPACITY: "waiting for capacity",
    Phase.FINISHING: "finishing",
    Phase.COMPLETE: "complete",
    Phase.FAILED: "failed",
    Phase.STOPPED: "stopped",
}
_PLAIN_SECONDS = 5.0
_TASKS_NAMED = 6
"""Of a graph with more tasks those that run or have failed are named, and the others counted."""

_NAMED = (StageState.RUNNING, StageState.FAILED)


def phase(progress: Progress) -> str:
    """The phase in small words."""
    return _PHASES[progress.phase]


def seconds_left(progress: Progress) -> float | None:
    """An estimate from the rate of the last seconds; None while the input is being listed or nothing moves."""
    if progress.rate <= 0 or any(stage.total < 0 for stage in progress.stages):
        return None
    return max(0, sum(stage.total - stage.done for stage in progress.stages)) / progress.rate


def exceptions(stage: StageProgress) -> list[str]:
    """What is worth saying beside the count of done chunks; empty when all is plain."""
    counted = (
        (stage.failed, "failed"),
        (stage.retried, "retried"),
        (stage.cached, "cached"),
        (stage.skipped, "skipped"),
        (stage.checkpoints, "checkpoints"),
        (stage.checkpoints_failed, "checkpoints not kept"),
    )
    return [f"{words.count(number)} {word}" for number, word in counted if number]


def position(stage: StageProgress) -> str:
    """`612 of 1,024`; while the input is still being listed `612 of …`."""
    return f"{words.count(stage.done)} of {words.count(stage.total) if stage.total >= 0 else '…'}"


def workers(progress: Progress) -> list[str]:
    """Workers, their slots where these differ, leases, rate and time left, each where there is something to say."""
    said = [words.count(progress.workers, "worker")]
    if progress.slots != progress.workers:
        said.append(words.count(progress.slots, "slot"))
    if progress.leases:
        said.append(words.count(progress.leases, "lease"))
    if progress.rate > 0:
        said.append(words.rate(progress.rate))
    left = seconds_left(progress)
    if left is not None and progress.phase is Phase.RUNNING:
        said.append(f"about {words.duration(max(1.0, round(left)))} left")
    return said


def resumed(progress: Progress) -> str:
    """`resumed: 412 of 1,024 chunks were done (generation 3)`; empty when nothing was."""
    done = sum(stage.resumed for stage in progress.stages)
    if not done:
        return ""
    # What has not begun is not known yet.
    known = all(stage.total >= 0 for stage in progress.stages)
    of = f" of {words.count(sum(stage.total for stage in progress.stages))}" if known else ""
    return f"resumed: {words.count(done)}{of} chunks were done (generation {progress.generation})"


def stages(given: tuple[StageProgress, ...]) -> list[str]:
    """Each stage with what has become of it; of very many those that matter now, the others counted."""
    if len(given) == 1:
        return [", ".join([f"{position(given[0])} chunks", *exceptions(given[0])])]
    named, counted = divided(given)
    return [*counted, *(f"{stage.name} {task(stage)}" for stage in named)]


def divided(given: tuple[StageProgress, ...]) -> tuple[list[StageProgress], list[str]]:
    """The stages to be named, and how many there are of the others, as `9 tasks waiting`."""
    if len(given) <= _TASKS_NAMED:
        return list(given), []
    counted = {state: sum(stage.state is state for stage in given) for state in StageState if state not in _NAMED}
    said = [f"{words.count(number, 'task')} {state.lower()}" for state, number in counted.items() if number]
    return [stage for stage in given if stage.state in _NAMED], said


def task(stage: StageProgress) -> str:
    """What has become of one stage of several: its state, and its chunks once they are known."""
    if stage.state is StageState.WAITING:
        return "waiting"
    if stage.state is StageState.SKIPPED:
        return "skipped: a task that it waits for has failed"
    return ", ".join([f"{stage.state.lower()}: {position(stage)} chunks", *exceptions(stage)])


def plain_line(name: str, progress: Progress) -> str:
    """One line for a log: job, phase, chunks of each stage, workers, and why it waits."""
    parts = [f"{name}: {phase(progress)}", *stages(progress.stages), *workers(progress)]
    if before := resumed(progress):
        parts.append(before)
    if progress.waiting_because:
        parts.append(f"waiting: {progress.waiting_because}")
    return " · ".join(parts)


@dataclass(frozen=True)
class Said:
    """What the plain lines of a job have said so far, and when (seconds of the run)."""

    phase: Phase | None = None
    waiting_because: str = ""
    notices: int = 0
    seconds: float = 0.0
    states: tuple[StageState, ...] = ()


def plain_lines(name: str, progress: Progress, said: Said) -> tuple[list[str], Said]:
    """The lines that are due now: notices and changes of phase, of waiting reason and of a task's state at once, else
    one in 5 s.
    """
    lines = [f"{name}: {notice}" for notice in progress.notices[said.notices :]]
    states = tuple(stage.state for stage in progress.stages) if len(progress.stages) > 1 else ()
    changed = (progress.phase, progress.waiting_because, states) != (said.phase, said.waiting_because, said.states)
    spoke = said.seconds
    if changed or progress.elapsed - said.seconds >= _PLAIN_SECONDS:
        lines.append(plain_line(name, progress))
        spoke = progress.elapsed
    return lines, Said(progress.phase, progress.waiting_because, len(progress.notices), spoke, states)
