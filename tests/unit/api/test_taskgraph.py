"""TaskGraphs: read as they are written, and each mistake is one message at its path."""

import json

import pytest

from leasegrid.api.enums import ShuffleBy, ShuffleMedium, ShuffleMode
from leasegrid.api.graph_rules import find_cycles
from leasegrid.api.loading import load_documents
from leasegrid.api.quantities import MEBI
from leasegrid.api.taskgraph import TaskGraph

MODULE = {"module": {"path": "a.wasm"}}
LOOP = {"python": {"source": {"inline": "x"}, "mode": "Loop"}}
SHUFFLE = {"partitions": 8}
MAP_REDUCE = """\
apiVersion: leasegrid.dev/v1alpha1
kind: TaskGraph
metadata: {name: words}
spec:
  parallelism: 8
  tasks:
  - name: map
    tasklet: {module: {path: map.wasm}}
    input: {files: {globs: ["books/*.txt"]}}
    shuffle: {partitions: 8}
  - name: reduce
    tasklet: {module: {path: reduce.wasm}}
    dependsOn: [map]
    input: {from: map}
  - name: finalize
    tasklet: {module: {path: final.wasm}}
    dependsOn: [reduce]
    input: {from: [reduce], gather: true}
"""


def task(name: str, *before: str, **fields: object) -> dict[str, object]:
    """A task that reads those before it, or counts to one."""
    source: dict[str, object] = {"from": list(before)} if before else {"count": 1}
    return {"name": name, "tasklet": MODULE, "input": source, "dependsOn": list(before), **fields}


def graph(*tasks: object, **fields: object) -> str:
    metadata = {"name": "x"}
    spec = {"tasks": list(tasks), **fields}
    return json.dumps({"apiVersion": "leasegrid.dev/v1alpha1", "kind": "TaskGraph", "metadata": metadata, "spec": spec})


def faults(text: str) -> list[tuple[str, str]]:
    return [(one.path.removeprefix("spec."), one.message) for one in load_documents(text, "x.yaml").faults]


def test_a_map_reduce_is_read_with_its_defaults() -> None:
    loaded = load_documents(MAP_REDUCE, "x.yaml")

    assert loaded.faults == ()
    found = loaded.objects[0]
    assert isinstance(found, TaskGraph)
    first, second, third = found.spec.tasks
    assert first.shuffle is not None
    assert (first.shuffle.by, first.shuffle.medium, first.shuffle.mode, first.shuffle.size) == (
        ShuffleBy.KEY,
        ShuffleMedium.MEMORY,
        ShuffleMode.BARRIER,
        512 * MEBI,
    )
    assert second.input.from_ == ("map",)
    assert (third.input.from_, third.input.gather) == (("reduce",), True)
    assert (first.retry, first.parallelism, found.spec.retry.max_retries, found.spec.parallelism) == (None, None, 3, 8)


def test_a_name_and_a_list_of_it_mean_the_same() -> None:
    assert (
        load_documents(MAP_REDUCE, "x").objects
        == load_documents(MAP_REDUCE.replace("from: map", "from: [map]"), "x").objects
    )


@pytest.mark.parametrize(
    ("tasks", "path", "words"),
    [
        pytest.param([task("a"), task("a")], "tasks[1].name", "is the name of tasks[0] too", id="a name twice"),
        pytest.param(
            [task("map"), task("b", dependsOn=["mpa"])],
            "tasks[1].dependsOn[0]",
            "did you mean map?",
            id="a dependency that is not there",
        ),
        pytest.param(
            [task("a", dependsOn=["a"])], "tasks[0].dependsOn[0]", "is the task itself", id="a task before itself"
        ),
        pytest.param(
            [task("a"), task("b", dependsOn=["a", "a"])], "tasks[1].dependsOn[1]", "twice", id="a dependency twice"
        ),
        pytest.param(
            [task("a", dependsOn=["c"]), task("b", dependsOn=["a"]), task("c", dependsOn=["b"])],
            "tasks[0].dependsOn",
            "is a cycle, a -> c -> b -> a",
            id="a cycle, with its way",
        ),
        pytest.param(
            [task("a"), task("b", input={"from": "x"})],
            "tasks[1].input.from",
            "'x' is no task of this graph: there is a, b",
            id="a source that is not there",
        ),
        pytest.param(
            [task("a"), task("b", dependsOn=["a"], input={"from": ["a", "x"]})],
            "tasks[1].input.from[1]",
            "is no task",
            id="a source in a list that is not there",
        ),
        pytest.param([task("a", input={"from": "a"})], "tasks[0].input.from", "the task itself", id="its own output"),
        pytest.param(
            [task("a"), task("b", input={"from": ["a"]})],
            "tasks[1].input.from",
            "add it to dependsOn",
            id="a source that may not be done yet",
        ),
        pytest.param([task("a", shuffle=SHUFFLE)], "tasks[0].shuffle", "no consumer", id="a shuffle for nobody"),
        pytest.param(
            [task("a", shuffle={"partitions": 0}), task("b", "a")],
            "tasks[0].shuffle.partitions",
            "at least 1",
            id="no partition at all",
        ),
        pytest.param(
            [task("a", shuffle={**SHUFFLE, "by": "File"}, tasklet=LOOP), task("b", "a")],
            "tasks[0].shuffle.by",
            "no /out",
            id="partitions by file in Loop mode",
        ),
        pytest.param(
            [task("a", shuffle={**SHUFFLE, "by": "File"}, tasklet={**MODULE, "outputFiles": "Never"}), task("b", "a")],
            "tasks[0].shuffle.by",
            "outputFiles Never",
            id="partitions by file without files",
        ),
        pytest.param(
            [task("a", shuffle=SHUFFLE), task("b"), task("c", "a", "b")],
            "tasks[2].input.from",
            "mixes tasks",
            id="a shuffled and a plain source",
        ),
        pytest.param(
            [task("a", shuffle=SHUFFLE), task("b", shuffle={"partitions": 9}), task("c", "a", "b")],
            "tasks[2].input.from",
            "the same shuffle.partitions",
            id="sources of different partitions",
        ),
        pytest.param(
            [task("a", shuffle=SHUFFLE), task("b", dependsOn=["a"], input={"from": "a", "gather": True})],
            "tasks[1].input.gather",
            "a is shuffled",
            id="all partitions at once",
        ),
        pytest.param([task("a", input={})], "tasks[0].input", "items, count, lines, files, from", id="no input"),
        pytest.param(
            [task("a"), task("b", dependsOn=["a"], input={"from": "a", "count": 2})],
            "tasks[1].input",
            "has count and from",
            id="two inputs",
        ),
        pytest.param(
            [task("a", input={"count": 1, "gather": True})], "tasks[0].input.gather", "give from", id="gathers nothing"
        ),
        pytest.param(
            [task("a"), task("b", dependsOn=["a"], input={"from": "a", "shards": 2})],
            "tasks[1].input.shards",
            "beside from",
            id="shards of outputs",
        ),
        pytest.param(
            [task("a"), task("b", dependsOn=["a"], tasklet=LOOP, input={"from": "a", "gather": True})],
            "tasks[1].input.gather",
            "no /in",
            id="gathers in Loop mode",
        ),
        pytest.param([], "tasks", "must not be empty", id="no task"),
        pytest.param(
            [task("a", retry={"initialBackoffMilliseconds": 20000})],
            "tasks[0].retry.initialBackoffMilliseconds",
            "must not be larger",
            id="pauses that would shrink",
        ),
        pytest.param([task("a", tasklet={})], "tasks[0].tasklet", "module, python", id="a task without a program"),
        pytest.param(
            [task(f"t{number}") for number in range(65)], "tasks", "at most 64", id="more tasks than a graph has"
        ),
    ],
)
def test_a_mistake_is_one_message_at_its_path(tasks: list[object], path: str, words: str) -> None:
    found = faults(graph(*tasks))

    assert [one for one, _ in found] == [path], found
    assert words in found[0][1]


def test_all_mistakes_of_a_graph_are_told_at_once() -> None:
    found = faults(graph(task("a", "b"), task("b", "a"), task("c", "x"), task("c"), minParallelism=99))

    assert sorted(path for path, _ in found) == [
        "minParallelism",
        "tasks[0].dependsOn",
        "tasks[2].dependsOn[0]",
        "tasks[2].input.from[0]",
        "tasks[3].name",
    ]


def test_a_task_behind_a_cycle_is_told_to_be_out_of_reach() -> None:
    found = faults(graph(task("a", "b"), task("b", "a"), task("c", "b"), task("d", "c")))

    assert [(path, message.split(":")[0]) for path, message in found] == [
        ("tasks[0].dependsOn", "is a cycle, a -> b -> a"),
        ("tasks[2].dependsOn", "is never reached, as it waits for 'b', which is in a cycle or behind one"),
        ("tasks[3].dependsOn", "is never reached, as it waits for 'c', which is in a cycle or behind one"),
    ]


def test_each_cycle_is_told_once_and_by_its_shortest_way() -> None:
    edges = {"a": ("b",), "b": ("c", "a"), "c": ("a",), "d": ("e",), "e": ("d",), "f": ("a",)}

    assert list(find_cycles(edges)) == [("a", "b", "a"), ("c", "a", "b", "c"), ("d", "e", "d")]
