"""What a plan will do, in words: `leasegrid validate`, and the boxes and edges of its picture. Pure."""

from collections.abc import Iterator

from leasegrid.cli import words
from tasklet_runner.plan.types import CountInput, FilesInput, ItemsInput, Kind, Plan, Stage, StageInput
from tasklet_runner.wire.programs import PartitionBy


def lines(plan: Plan) -> Iterator[str]:
    """A TaskGraph by its waves: a line for the graph, one for each task, one for what is delivered."""
    tasks, waves = words.count(len(plan.stages), "task"), words.count(len(plan.waves), "wave")
    yield f"{tasks} in {waves}"
    width = max(len(stage.name) for stage in plan.stages)
    for number, wave in enumerate(plan.waves, 1):
        for name in wave:
            stage = plan.stage(name)
            yield f"  {number}. {name:{width}}  {'; '.join((work(plan, stage), *becomes(stage)))}"
    yield f"  outputs: {', '.join(stage.name for stage in plan.sinks)}"


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
        yield (
            f"{words.count(shuffle.partitions, 'partition')} by {by} in {words.size(shuffle.size)} of {shuffle.medium}"
        )


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
