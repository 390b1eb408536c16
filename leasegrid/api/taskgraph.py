"""TaskGraph: tasks that read one another's outputs, wave by wave."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from leasegrid.api.common import Bytes, Count, Flag, Model, Name, ObjectMeta, Whole, bounded_bytes
from leasegrid.api.enums import ShuffleBy, ShuffleMedium, ShuffleMode, TaskState
from leasegrid.api.job import JobInput, Retry, RunSpec
from leasegrid.api.job_status import ChunkCounts, RunStatus
from leasegrid.api.quantities import GIBI, MEBI
from leasegrid.api.tasklet import Tasklet

MAX_TASKS = 64
"""Tasks of a graph: the API server judges every pair of them within its budget for one object."""

ShuffleBytes = Annotated[Bytes, bounded_bytes(MEBI, 65536 * GIBI)]


def _one_or_many(value: object) -> object:
    """A name alone stands for a list of it, as people write `from: map`."""
    return (value,) if isinstance(value, str) else value


TaskNames = Annotated[tuple[Name, ...], Field(max_length=MAX_TASKS)]


class TaskInput(JobInput):
    """The inputs: exactly one of items, count, lines, files and from."""

    from_: Annotated[TaskNames, BeforeValidator(_one_or_many)] = Field(
        default=(),
        min_length=1,
        alias="from",
        description="Tasks whose outputs are the inputs, each also in dependsOn: a chunk per chunk, or per partition.",
    )
    gather: Flag = Field(default=False, description="True: one chunk reads all outputs of from, in index order.")


class Shuffle(Model):
    """How the outputs of a task are divided among the chunks of the tasks that read it."""

    partitions: Annotated[Whole, Field(ge=1, le=10_000)] = Field(description="Chunks of each task that reads it.")
    by: ShuffleBy = Field(
        default=ShuffleBy.KEY, description="Key: lines key<TAB>value on stdout. File: /out/part-<n> is partition n."
    )
    medium: ShuffleMedium = Field(default=ShuffleMedium.MEMORY, description="Memory or Block: where partitions wait.")
    mode: ShuffleMode = Field(
        default=ShuffleMode.BARRIER,
        description="Members fetch partitions when their tasks come (Barrier), or as each mapper ends (Stream).",
    )
    size: ShuffleBytes = Field(default=512 * MEBI, description="Room for all partitions together.")


class Task(Model):
    """One tasklet over many inputs, as a step of the graph."""

    name: Name = Field(description="Name of the task, unique in the graph.")
    tasklet: Tasklet = Field(description="The program that is run for each chunk.")
    input: TaskInput = Field(description="The inputs: one of items, count, lines, files and from.")
    depends_on: TaskNames = Field(default=(), description="Tasks that must succeed before this one starts.")
    shuffle: Shuffle | None = Field(default=None, description="Divides its outputs for the tasks that read it.")
    parallelism: Count | None = Field(default=None, description="Members for this task. Default: that of the graph.")
    max_failed_chunks: Whole = Field(
        default=0, description="With more failed chunks the task has failed; the others still run."
    )
    retry: Retry | None = Field(default=None, description="Retries of this task. Default: those of the graph.")


class TaskGraphSpec(RunSpec):
    """What is to be done, task by task."""

    tasks: tuple[Task, ...] = Field(
        min_length=1, max_length=MAX_TASKS, description="The tasks; those of a wave run in parallel."
    )


class TaskStatus(Model):
    """What has been done of one task."""

    name: str = Field(description="Name of the task.")
    state: TaskState = Field(description="Waiting, Running, Succeeded, Failed, or Skipped after a failed dependency.")
    chunks: ChunkCounts = Field(default=ChunkCounts(), description="Its chunks by what became of them.")


class TaskGraphStatus(RunStatus):
    """What has been done."""

    tasks: tuple[TaskStatus, ...] = Field(
        default=(), max_length=MAX_TASKS, description="What has been done of each task."
    )


class TaskGraph(Model):
    """Tasks that read one another's outputs, wave by wave."""

    api_version: Literal["leasegrid.dev/v1alpha1"] = Field(description="leasegrid.dev/v1alpha1")
    kind: Literal["TaskGraph"] = Field(description="TaskGraph")
    metadata: ObjectMeta = Field(description="Name, namespace, labels, annotations.")
    spec: TaskGraphSpec = Field(description="What is to be done.")
    status: TaskGraphStatus | None = Field(
        default=None, description="What has been done; written by the coordinator's fabric alone."
    )
