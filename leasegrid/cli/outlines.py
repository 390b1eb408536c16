"""What a plan will do and what it did, in words: for `leasegrid validate` and for the boxes of its picture. Pure."""

from collections.abc import Iterator, Mapping

from leasegrid.cli import speech, words
from tasklet_runner.coordinator.progress import StageProgress, StageState
from tasklet_runner.plan.types import (
    CountInput,
    FilesInput,
    ItemsInput,
    Kind,
    Plan,
    Shuffle,
    ShuffleMode,
    Stage,
    StageInput,
)
from tasklet_runner.wire.programs import PartitionBy


def lines(plan: Plan, ran: Mapping[str, StageProgress] | None = None) -> Iterator[str]:
    """A plan by its waves: a line for the whole, one for each stage, one for what is delivered.

    `ran`: what became of the stages, by name, when it has run.
    """
    yield f"{words.count(len(plan.stages), 'task')} in {words.count(len(plan.waves), 'wave')}"
    width = max(len(stage.name) for stage in plan.stages)
    for number, wave in enumerate(plan.waves, 1):
        for name in wave:
            stage = plan.stage(name)
            said = [work(plan, stage), *becomes(stage)]
            if ran and name in ran:
                said.append(f"{state(ran[name])}, {counted(ran[name])}")
            yield f"  {number}. {name:{width}}  {'; '.join(said)}"
    yield f"  outputs: {', '.join(stage.name for stage in plan.sinks)}"


def state(stage: StageProgress) -> str:
    """What became of a stage, and how long it took when it has ended: `succeeded in 1.2 s`."""
    took = f" in {words.duration(stage.ended - stage.began)}" if stage.ended >= 0 else ""
    return f"{stage.state.lower()}{took}"


def counted(stage: StageProgress) -> str:
    """The chunks of a stage that ran: `24 of 24 chunks` or `24 of 24, 1 failed`; none where it did not."""
    if stage.state in (StageState.WAITING, StageState.SKIPPED):
        return "no chunk was run"
    odd = speech.exceptions(stage)
    return ", ".join([speech.position(stage), *odd]) if odd else f"{speech.position(stage)} chunks"


def work(plan: Plan, stage: Stage) -> str:
    """What the chunks of a stage are, and how many as far as that is known before its input is read."""
    if not isinstance(stage.input, StageInput):
        return chunks(stage)
    sources = words.listed(list(stage.input.stages))
    if stage.input.gather:
        return f"1 chunk of all outputs of {sources}"
    shuffle = plan.stage(stage.input.stages[0]).shuffle
    if shuffle is not None:
        return f"{words.count(shuffle.partitions, 'chunk')}, a partition of {sources} each"
    return f"a chunk per output of {sources}"


def becomes(stage: Stage) -> Iterator[str]:
    """How the outputs of a stage are divided; nothing when they are not."""
    if stage.shuffle is not None:
        by = "key" if stage.shuffle.by is PartitionBy.KEY else "file"
        shuffle = stage.shuffle
        room = f"{words.size(shuffle.size)} of {shuffle.medium}{streamed(shuffle)}"
        yield f"{words.count(shuffle.partitions, 'partition')} by {by} in {room}"


def streamed(shuffle: Shuffle) -> str:
    """A word for partitions that are fetched as they come."""
    return ", streamed" if shuffle.mode is ShuffleMode.STREAM else ""


def brief(plan: Plan, stage: Stage) -> str:
    """As `work`, without the names that a picture shows as edges."""
    if isinstance(stage.input, StageInput) and not stage.input.gather:
        shuffle = plan.stage(stage.input.stages[0]).shuffle
        return "a chunk per output" if shuffle is None else words.count(shuffle.partitions, "chunk")
    return chunks(stage)


def chunks(stage: Stage) -> str:
    """The chunks of a stage, as far as they are known before the input is read."""
    given = stage.input
    if isinstance(given, StageInput):
        return "1 chunk" if given.gather else "a chunk per output"
    if isinstance(given, CountInput):
        return words.count(given.count, "chunk")
    if given.shards:
        return f"at most {words.count(given.shards, 'chunk')}"
    if isinstance(given, ItemsInput):
        return words.count(len(given.items), "chunk")
    return "a chunk per file" if isinstance(given, FilesInput) else "as many chunks as its input has"


def title(plan: Plan) -> str:
    """The plan's kind and name, with its namespace where that is not the default."""
    name = plan.name if plan.namespace == "default" else f"{plan.namespace}/{plan.name}"
    return f"{'TaskGraph' if plan.kind is Kind.TASK_GRAPH else 'Job'} {name}"
