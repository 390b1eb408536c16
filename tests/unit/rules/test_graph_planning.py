"""A TaskGraph becomes a plan."""

import pytest

from leasegrid.api.taskgraph import TaskGraph
from leasegrid.rules.graph_planning import plan_graph, waves
from tasklet_runner.plan.types import (
    CacheSettings,
    CountInput,
    FilesInput,
    Kind,
    LeaseTerms,
    Medium,
    OutputSettings,
    Plan,
    Requirements,
    RetryPolicy,
    Shuffle,
    ShuffleMode,
    StageInput,
)
from tasklet_runner.wire.errors import UnsupportedError
from tasklet_runner.wire.programs import PartitionBy

MIBI = 1024**2
MODULE = {"module": {"path": "a.wasm"}}
SHUFFLE = {"partitions": 8}


def task(name: str, *sources: str, **fields: object) -> dict[str, object]:
    """A task that reads these, or counts to one."""
    given: dict[str, object] = {"from": list(sources)} if sources else {"count": 1}
    return {"name": name, "tasklet": MODULE, "input": given, "dependsOn": list(sources), **fields}


def planned(*tasks: object, **spec: object) -> Plan:
    graph = {
        "apiVersion": "leasegrid.dev/v1alpha1",
        "kind": "TaskGraph",
        "metadata": {"name": "g", "namespace": "team"},
        "spec": {"tasks": list(tasks), **spec},
    }
    return plan_graph(TaskGraph.model_validate(graph), base="/b")


def test_a_map_reduce_is_three_waves() -> None:
    plan = planned(
        task("map", input={"files": {"globs": ["books/*.txt"]}, "shards": 4}, shuffle=SHUFFLE),
        task("reduce", "map"),
        task("finalize", dependsOn=["reduce"], input={"from": "reduce", "gather": True}),
    )
    mapper, reducer, final = plan.stages

    assert (plan.namespace, plan.name, plan.kind) == ("team", "g", Kind.TASK_GRAPH)
    assert plan.waves == (("map",), ("reduce",), ("finalize",))
    assert mapper.input == FilesInput(globs=("/b/books/*.txt",), root="/b/books", shards=4)
    assert mapper.shuffle == Shuffle(partitions=8, size=512 * MIBI)
    assert (reducer.input, reducer.depends_on) == (StageInput(stages=("map",)), ("map",))
    assert final.input == StageInput(stages=("reduce",), gather=True)
    assert (mapper.parallelism, reducer.parallelism, final.parallelism) == (50, 50, 1)
    assert plan.sinks == (final,)


def test_all_that_a_graph_says_stands_in_its_plan() -> None:
    plan = planned(
        task("a", shuffle={"partitions": 3, "by": "File", "medium": "Block", "size": "1Gi"}),
        task("b", "a", parallelism=2, maxFailedChunks=4, retry={"maxRetries": 0}),
        task("c"),
        parallelism=9, minParallelism=5, priority=3, suspend=True, activeDeadlineSeconds=100_000,
        retry={"maxRetries": 7}, lease={"requirements": {"cpu": "2"}, "ttlSeconds": 30}, cache={"name": "k"},
        output={"retainSeconds": 0},
    )  # fmt: skip
    a, b, c = plan.stages

    assert a.shuffle == Shuffle(partitions=3, by=PartitionBy.FILE, medium=Medium.BLOCK, size=1024 * MIBI)
    assert a.shuffle is not None
    assert a.shuffle.mode is ShuffleMode.BARRIER
    assert (plan.suspended, plan.active_deadline_seconds) == (True, 100_000)
    assert plan.output == OutputSettings(retain_seconds=0)
    assert (a.retry, b.retry) == (RetryPolicy(max_retries=7), RetryPolicy(max_retries=0))
    assert (a.parallelism, b.parallelism, b.max_failed_chunks) == (9, 2, 4)
    assert {stage.lease for stage in plan.stages} == {
        LeaseTerms(requirements=Requirements(2), ttl_seconds=30, max_lifetime_seconds=100_000, priority=3)
    }
    assert (a.cache, b.cache, c.cache) == (None, None, CacheSettings(name="k", size=1024 * MIBI, retain_seconds=86400))
    assert c.input == CountInput(count=1)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        pytest.param({}, (), id="nothing has no wave"),
        pytest.param({"b": (), "a": ()}, (("b", "a"),), id="what waits for nothing runs at once, in the file's order"),
        pytest.param({"c": ("b",), "b": ("a",), "a": ()}, (("a",), ("b",), ("c",)), id="a chain written backwards"),
        pytest.param(
            {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}, (("a",), ("b", "c"), ("d",)), id="a diamond"
        ),
        pytest.param(
            {"a": (), "b": ("a",), "c": ("b",), "d": (), "e": ("d", "c")},
            (("a", "d"), ("b",), ("c",), ("e",)),
            id="a task stands after the latest of those it waits for",
        ),
    ],
)
def test_waves(edges: dict[str, tuple[str, ...]], expected: tuple[tuple[str, ...], ...]) -> None:
    assert waves(edges) == expected


@pytest.mark.parametrize("edges", [{"a": ("b",), "b": ("a",)}, {"a": ("x",)}], ids=["a cycle", "a stranger"])
def test_what_never_could_start_is_refused(edges: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        waves(edges)


def test_only_the_start_of_a_graph_waits_for_its_least_parallelism() -> None:
    plan = planned(task("a", parallelism=2), task("b"), task("c", "a"), parallelism=9, minParallelism=5)

    assert [stage.min_parallelism for stage in plan.stages] == [2, 5, 1]


def test_outputs_are_delivered_of_tasks_that_nobody_reads() -> None:
    plan = planned(task("a"), task("b", "a"), task("c", dependsOn=["a"]), task("d", "b"))

    assert [stage.name for stage in plan.sinks] == ["c", "d"]


@pytest.mark.parametrize(
    ("first", "second", "writes", "reads"),
    [
        pytest.param(MODULE, MODULE, False, False, id="stdouts alone need no directory"),
        pytest.param({**MODULE, "args": ["/out/x"]}, MODULE, True, True, id="files stand in /in of the reader"),
        pytest.param(MODULE, {**MODULE, "args": ["/in"]}, True, True, id="a reader that names /in wants files"),
        pytest.param({**MODULE, "outputFiles": "Never"}, {**MODULE, "args": ["/in"]}, False, False, id="Never"),
    ],
)
def test_files_go_from_out_to_in(first: object, second: object, writes: bool, reads: bool) -> None:
    a, b = planned(task("a", tasklet=first), task("b", "a", tasklet=second)).stages

    assert (a.tasklet.output_files, b.tasklet.input_files) == (writes, reads)


@pytest.mark.parametrize(
    ("by", "arguments", "writes"),
    [
        pytest.param("File", [], True, id="partitions by file are written to /out"),
        pytest.param("Key", ["/out/x"], False, id="partitions by key are lines of stdout: there is no /out"),
    ],
)
def test_partitions_are_no_files_of_the_reader(by: str, arguments: list[str], writes: bool) -> None:
    a, b = planned(
        task("a", tasklet={**MODULE, "args": arguments}, shuffle={**SHUFFLE, "by": by}), task("b", "a")
    ).stages

    assert (a.tasklet.output_files, b.tasklet.input_files) == (writes, False)


def test_a_task_that_is_durable_is_so_in_the_plan() -> None:
    a, b = planned(task("a", tasklet={**MODULE, "durable": True}), task("b", "a")).stages

    assert (a.tasklet.durable, b.tasklet.durable) == (True, False)


@pytest.mark.parametrize("mode", list(ShuffleMode))
def test_the_mode_of_a_shuffle_is_that_of_its_stage(mode: ShuffleMode) -> None:
    a, _ = planned(task("a", shuffle={**SHUFFLE, "mode": mode.value}), task("b", "a")).stages

    assert a.shuffle == Shuffle(partitions=8, size=512 * MIBI, mode=mode)


def test_all_that_cannot_be_done_here_is_said_at_once() -> None:
    with pytest.raises(UnsupportedError) as raised:
        planned(
            task("a", shuffle=SHUFFLE),
            task("b", "a", tasklet={"module": {"upload": "u"}}),
            output={"copyTo": {"uri": "http://h/d"}},
            cache={"name": "k"},
        )

    assert [part.split(":")[0] for part in raised.value.cause.split("; ") if part.startswith("spec.")] == [
        "spec.tasks[1].tasklet.module.upload",
        "spec.output.copyTo.uri",
        "spec.cache",
    ]
