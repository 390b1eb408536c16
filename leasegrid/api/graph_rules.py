"""Rules across the tasks of a TaskGraph: names, dependencies, cycles, sources and shuffles."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leasegrid.api.kind_rules import check_run
from leasegrid.api.messages import suggestion
from leasegrid.api.taskgraph import MAX_TASKS
from leasegrid.api.tasklet_rules import check_tasklet, is_loop
from leasegrid.api.views import View

Edges = Mapping[str, tuple[str, ...]]
"""What each task waits for, by names that there are."""

INPUTS = ("items", "count", "lines", "files", "from")


@dataclass(frozen=True)
class _Graph:
    """The tasks by name; of two with one name, the first."""

    tasks: Mapping[str, View]
    edges: Edges


def check_graph(spec: View) -> None:
    """The rules of a TaskGraph."""
    check_run(spec)
    views = spec.children("tasks")
    graph = _graph_of(views)
    _check_names(views)
    for task in views:
        check_tasklet(task.child("tasklet"))
        _check_input(task)
        _check_dependencies(task, graph)
        _check_sources(task, graph)
        _check_shuffle(task, views)
        task.child("retry").not_above("initialBackoffMilliseconds", "maxBackoffMilliseconds")
    if len(views) <= MAX_TASKS:
        _check_cycles(graph)


def _graph_of(views: list[View]) -> _Graph:
    tasks: dict[str, View] = {}
    for task in views:
        if name := task.text("name"):
            tasks.setdefault(name, task)
    edges = {
        name: tuple(other for other in task.texts("dependsOn") if other in tasks and other != name)
        for name, task in tasks.items()
    }
    return _Graph(tasks, edges)


def sources_of(task: View) -> list[str]:
    """The tasks that a task reads, written as one name or as a list."""
    given = task.child("input")
    one = given.text("from")
    return [one] if one is not None else given.texts("from")


def find_cycles(edges: Edges) -> Iterator[tuple[str, ...]]:
    """A shortest cycle through each task that is in none of those before; its first task stands at both ends."""
    told: set[str] = set()
    for name in edges:
        if name not in told and (cycle := _way(edges, name, name)):
            told.update(cycle)
            yield cycle


def _way(edges: Edges, start: str, end: str) -> tuple[str, ...]:
    """The shortest way of at least one step, or none."""
    before: dict[str, str] = {}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for there in edges[here]:
            if there not in before:
                before[there] = here
                queue.append(there)
    return _traced(before, start, end) if end in before else ()


def _traced(before: Mapping[str, str], start: str, end: str) -> tuple[str, ...]:
    steps = [end, before[end]]
    while steps[-1] != start:
        steps.append(before[steps[-1]])
    return tuple(reversed(steps))


def _check_names(views: list[View]) -> None:
    first: dict[str, int] = {}
    for index, task in enumerate(views):
        name = task.text("name")
        if name in first:
            task.fault(f"{name!r} is the name of tasks[{first[name]}] too: give each task its own", "name")
        elif name:
            first[name] = index


def _check_input(task: View) -> None:
    given = task.child("input")
    given.exactly_one(*INPUTS)
    given.child("lines").exactly_one("path", "uri")
    for other in ("count", "from"):
        if given.has("shards") and given.has(other):
            given.fault(f"cannot stand beside {other}: it groups items, lines or files", "shards")
    gathers = given.flag("gather")
    if gathers and not given.has("from"):
        given.fault("gathers the outputs of other tasks: give from", "gather")
    if is_loop(task.child("tasklet")):
        for field in ("files", *(("gather",) if gathers else ())):
            if given.has(field):
                given.fault("cannot be used with python.mode Loop, which has no /in: use Fresh", field)


def _check_dependencies(task: View, graph: _Graph) -> None:
    _check_references(task, "dependsOn", task.texts("dependsOn"), graph)


def _check_sources(task: View, graph: _Graph) -> None:
    given, sources = task.child("input"), sources_of(task)
    if given.text("from") is not None:
        name = sources[0]
        if message := _bad_reference(name, task.text("name"), graph):
            given.fault(message, "from")
    else:
        _check_references(given, "from", sources, graph, owner=task.text("name"))
    _check_order(task, [name for name in dict.fromkeys(sources) if name in graph.tasks])
    _check_shapes(task, [graph.tasks[name] for name in sources if name in graph.tasks])


def _check_order(task: View, sources: list[str]) -> None:
    """A task reads only what is done before it starts."""
    for name in sources:
        if name != task.text("name") and name not in task.texts("dependsOn"):
            message = f"{name!r} may not be done yet when this task starts: add it to dependsOn"
            task.child("input").fault(message, "from")


def _check_references(holder: View, field: str, names: list[str], graph: _Graph, owner: str | None = None) -> None:
    owner = owner or (holder.text("name") if field == "dependsOn" else None)
    seen: set[str] = set()
    for index, name in enumerate(names):
        message = _bad_reference(name, owner, graph)
        if name in seen:
            message = f"{name!r} stands twice: keep one of them"
        if message:
            holder.fault(message, field, index)
        seen.add(name)


def _bad_reference(name: str, owner: str | None, graph: _Graph) -> str:
    if name == owner:
        return f"{name!r} is the task itself: name another one"
    return "" if name in graph.tasks else f"{name!r} is no task of this graph: {suggestion(name, graph.tasks)}"


def _check_shapes(task: View, sources: list[View]) -> None:
    """What is read at once has the same number of partitions, or none."""
    given = task.child("input")
    shuffled = [source for source in sources if source.has("shuffle")]
    partitions = {source.child("shuffle").integer("partitions") for source in shuffled}
    if shuffled and given.flag("gather"):
        given.fault(f"reads all at once, but {shuffled[0].text('name')} is shuffled: leave one of them out", "gather")
    if shuffled and (len(shuffled) < len(sources) or len(partitions - {None}) > 1):
        given.fault("mixes tasks of different partitions: give all of them the same shuffle.partitions", "from")


def _check_shuffle(task: View, views: list[View]) -> None:
    shuffle, tasklet = task.child("shuffle"), task.child("tasklet")
    if not shuffle.present:
        return
    if not any(task.text("name") in sources_of(other) for other in views):
        task.fault("has no consumer: name this task in the input.from of another, or leave shuffle out", "shuffle")
    if shuffle.text("by") == "File":
        if is_loop(tasklet):
            shuffle.fault("cannot be File with python.mode Loop, which has no /out: use Key", "by")
        if tasklet.text("outputFiles") == "Never":
            shuffle.fault("cannot be File with outputFiles Never: use Key, or outputFiles Auto", "by")


def _check_cycles(graph: _Graph) -> None:
    circling: set[str] = set()
    for cycle in find_cycles(graph.edges):
        circling.update(cycle)
        way = " -> ".join(cycle)
        graph.tasks[cycle[0]].fault(f"is a cycle, {way}: take one of these dependencies out", "dependsOn")
    for name, cause in _out_of_reach(graph.edges, circling):
        message = f"is never reached, as it waits for {cause!r}, which is in a cycle or behind one"
        graph.tasks[name].fault(message, "dependsOn")


def _out_of_reach(edges: Edges, circling: set[str]) -> Iterator[tuple[str, str]]:
    """The tasks behind a cycle, each with what it waits for in vain."""
    lost = set(circling)
    queue = deque(name for name in edges if name in circling)
    while queue:
        cause = queue.popleft()
        for name, before in edges.items():
            if cause in before and name not in lost:
                lost.add(name)
                queue.append(name)
                yield name, cause
