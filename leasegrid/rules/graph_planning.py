"""A TaskGraph compiled to a plan: a stage per task, waves by dependencies."""

from collections.abc import Iterable, Mapping

from leasegrid.api.enums import OutputFiles, ShuffleBy
from leasegrid.api.taskgraph import Shuffle, Task, TaskGraph, TaskGraphSpec
from leasegrid.api.tasklet import Tasklet
from leasegrid.rules.run_planning import plan_cache, plan_data_secret, plan_input, plan_lease, plan_output, plan_retry
from leasegrid.rules.tasklet_planning import names_path, plan_tasklet, writes_files
from leasegrid.rules.unsupported import Place, refuse, unsupported_in_graph
from tasklet_runner.plan import types as plan
from tasklet_runner.wire.programs import PartitionBy


def plan_graph(graph: TaskGraph, *, base: str, place: Place = Place.MACHINE) -> plan.Plan:
    """The plan of a valid TaskGraph, to be run at `place`. `base` is the absolute directory that its relative paths
    start from.

    Raises:
        UnsupportedError: the graph says something that this version cannot do; all of it is named.
    """
    spec = graph.spec
    refuse((*unsupported_in_graph(spec, place), *_useless_cache(spec)))
    order = waves({task.name: task.depends_on for task in spec.tasks})
    return plan.Plan(
        namespace=graph.metadata.namespace,
        name=graph.metadata.name,
        kind=plan.Kind.TASK_GRAPH,
        stages=tuple(_stage(task, spec, base, first=task.name in order[0]) for task in spec.tasks),
        waves=order,
        output=plan_output(spec, base),
        active_deadline_seconds=spec.active_deadline_seconds or 0,
        suspended=spec.suspend,
        data_secret=plan_data_secret(spec),
    )


def waves(edges: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """The levels of an acyclic graph: a task stands in the wave after the latest of those it waits for.

    `edges`: the names that each task waits for. Within a wave the tasks keep the order of the mapping.

    Raises:
        ValueError: there is a cycle, or a name that is no key.
    """
    level: dict[str, int] = {}
    left = dict(edges)
    while left:
        ready = [name for name, before in left.items() if all(other in level for other in before)]
        if not ready:
            raise ValueError(f"{', '.join(left)} wait for each other, or for what is not there")
        for name in ready:
            level[name] = 1 + max((level[other] for other in left.pop(name)), default=-1)
    return tuple(
        tuple(name for name in edges if level[name] == number) for number in range(max(level.values(), default=-1) + 1)
    )


def _stage(task: Task, spec: TaskGraphSpec, base: str, *, first: bool) -> plan.Stage:
    parallelism = task.parallelism if task.parallelism is not None else spec.parallelism
    return plan.Stage(
        name=task.name,
        tasklet=_tasklet(task, spec, base),
        input=_input(task, base),
        depends_on=task.depends_on,
        parallelism=1 if task.input.gather else parallelism,
        # Without so many members the graph does not start; once it has, a later wave takes what there is.
        min_parallelism=min(spec.min_parallelism, parallelism) if first else 1,
        max_failed_chunks=task.max_failed_chunks,
        retry=plan_retry(task.retry if task.retry is not None else spec.retry),
        lease=plan_lease(spec),
        cache=plan_cache(spec) if _can_be_cached(task, spec) else None,
        shuffle=_shuffle(task.shuffle),
    )


def _useless_cache(spec: TaskGraphSpec) -> tuple[str, ...]:
    if spec.cache is None or any(_can_be_cached(task, spec) for task in spec.tasks):
        return ()
    return ("spec.cache: no task could use it, as results on either side of a shuffle are not kept; leave it out",)


def _can_be_cached(task: Task, spec: TaskGraphSpec) -> bool:
    """True when a chunk has one input, known before it runs, and one output: no partitions on either side."""
    return task.shuffle is None and not any(source.shuffle is not None for source in _sources(task, spec))


def _sources(task: Task, spec: TaskGraphSpec) -> list[Task]:
    return [other for other in spec.tasks if other.name in task.input.from_]


def _input(task: Task, base: str) -> plan.Input:
    if task.input.from_:
        return plan.StageInput(stages=task.input.from_, gather=task.input.gather)
    return plan_input(task.input, base)


def _tasklet(task: Task, spec: TaskGraphSpec, base: str) -> plan.TaskletPlan:
    gets_files = task.input.files is not None or any(_gives_files(source, spec) for source in _sources(task, spec))
    makes_files = _gives_files(task, spec) if task.shuffle is None else task.shuffle.by is ShuffleBy.FILE
    return plan_tasklet(task.tasklet, base, input_files=gets_files, output_files=makes_files)


def _gives_files(task: Task, spec: TaskGraphSpec) -> bool:
    """True when the files of a task's /out are outputs of it; those of a shuffle are partitions instead."""
    if task.shuffle is not None:
        return False
    # Files that nobody names are still wanted when a reader looks for them below /in.
    readers = (other.tasklet for other in spec.tasks if task.name in other.input.from_)
    return writes_files(task.tasklet) or (_is_auto(task.tasklet) and any(names_path(one, "/in") for one in readers))


def _is_auto(tasklet: Tasklet) -> bool:
    return tasklet.output_files is OutputFiles.AUTO


def _shuffle(shuffle: Shuffle | None) -> plan.Shuffle | None:
    if shuffle is None:
        return None
    return plan.Shuffle(
        partitions=shuffle.partitions,
        by=PartitionBy(shuffle.by.value),
        medium=plan.Medium(shuffle.medium.value),
        mode=plan.ShuffleMode(shuffle.mode.value),
        size=shuffle.size,
    )
