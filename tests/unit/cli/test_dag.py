"""A plan as a picture and as text: waves as columns, and what became of each task."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from leasegrid.cli import dag, dag_svg, outlines
from leasegrid.cli.dag import Cell, Edge
from leasegrid.cli.documents import Document
from leasegrid.cli.preparing import prepare
from leasegrid.cli.validating import described
from tasklet_runner.coordinator.progress import StageProgress, StageState
from tasklet_runner.plan.types import Plan

SVG = "{http://www.w3.org/2000/svg}"
HEAD = "apiVersion: leasegrid.dev/v1alpha1\nkind: TaskGraph\nmetadata: {name: words}\nspec:\n  tasks:\n"
TASK = "  - {name: NAME, tasklet: {module: {path: a.wasm}}, INPUT}\n"
WORDS = (
    ("map", "input: {files: {globs: ['b/*']}}, shuffle: {partitions: 8}"),
    ("names", "input: {count: 3}, shuffle: {partitions: 8, medium: Block, by: File, mode: Stream}"),
    ("reduce", "dependsOn: [map, names], input: {from: [map, names]}"),
    ("note", "dependsOn: [map], input: {count: 1}"),
    ("final", "dependsOn: [reduce], input: {from: reduce, gather: true}"),
    ("late", "dependsOn: [final, note], input: {from: note}"),
)


def yaml(*tasks: tuple[str, str]) -> str:
    return HEAD + "".join(TASK.replace("NAME", name).replace("INPUT", given) for name, given in tasks)


def plan_of(*tasks: tuple[str, str]) -> Plan:
    prepared = prepare([Document("x.yaml", "/b", yaml(*tasks))])
    assert prepared.faults == ()
    return prepared.plans[0]


def ran() -> dict[str, StageProgress]:
    stages = (
        StageProgress(name="map", state=StageState.SUCCEEDED, total=24, succeeded=24, began=0.0, ended=1.5),
        StageProgress(name="reduce", state=StageState.FAILED, total=8, succeeded=7, failed=1, began=1.5, ended=2.0),
        StageProgress(name="final", state=StageState.SKIPPED, total=1, skipped=1),
        StageProgress(name="note", state=StageState.RUNNING, total=1, running=1, began=1.5),
    )
    return {stage.name: stage for stage in stages}


def drawn(plan: Plan, stages: dict[str, StageProgress] | None = None) -> ElementTree.Element:
    picture = dag_svg.Picture(plan, dag_svg.subtitle(plan, tuple((stages or {}).values()), 2.0), stages or {})
    return ElementTree.fromstring(dag_svg.render(picture))  # noqa: S314 - our own document


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def test_edges_say_what_goes_along_them() -> None:
    assert list(dag.edges(plan_of(*WORDS))) == [
        Edge("map", "reduce", True, "8 by key, Memory"),
        Edge("names", "reduce", True, "8 by file, Block, streamed"),
        Edge("map", "note", False),
        Edge("reduce", "final", True, "all in one"),
        Edge("final", "late", False),
        Edge("note", "late", True),
    ]


def test_an_edge_over_a_wave_has_a_place_of_its_own_there() -> None:
    found = dag.drawing(plan_of(*WORDS))
    (way,) = [way for edge, way in found.ways if (edge.source, edge.target) == ("note", "late")]

    assert [len(column) for column in found.columns] == [2, 2, 2, 1]
    assert way == (Cell(1, "note"), Cell(2, "note", passing=True), Cell(3, "late"))


def test_waiting_that_others_imply_is_not_drawn() -> None:
    chain = plan_of(
        ("a", "input: {count: 1}"),
        ("b", "dependsOn: [a], input: {count: 1}"),
        ("c", "dependsOn: [a, b], input: {count: 1}"),
        ("d", "dependsOn: [a, b, c], input: {from: a}"),
    )

    assert [(edge.source, edge.target) for edge in dag.edges(chain)] == [("a", "b"), ("b", "c"), ("a", "d"), ("c", "d")]


def test_edges_of_one_task_over_the_same_wave_run_together() -> None:
    fan = plan_of(
        ("a", "input: {count: 1}"),
        ("b", "dependsOn: [a], input: {from: a}"),
        ("c", "dependsOn: [a, b], input: {from: [a, b]}"),
        ("d", "dependsOn: [a, c], input: {from: [a, c]}"),
    )

    assert [len(column) for column in dag.drawing(fan).columns] == [1, 2, 2, 1]


def test_columns_are_ordered_so_that_edges_do_not_cross() -> None:
    crossed = plan_of(
        ("a", "input: {count: 1}"),
        ("b", "input: {count: 1}"),
        ("c", "dependsOn: [b], input: {from: b}"),
        ("d", "dependsOn: [a], input: {from: a}"),
    )

    assert [[cell.name for cell in column] for column in dag.drawing(crossed).columns] in (
        [["a", "b"], ["d", "c"]],
        [["b", "a"], ["c", "d"]],
    )


def test_the_picture_before_a_run_names_waves_tasks_chunks_and_partitions() -> None:
    said = texts(drawn(plan_of(*WORDS)))

    for expected in ("TaskGraph words", "6 tasks in 4 waves", "wave 4", "map", "a chunk per file", "8 by key, Memory"):
        assert expected in said
    assert said.count("8 chunks") == 1


def test_the_picture_after_a_run_says_state_time_and_counts() -> None:
    said = texts(drawn(plan_of(*WORDS), ran()))

    for expected in (
        "6 tasks in 4 waves · 31 chunks in 2 s",
        "succeeded in 1.5 s",
        "24 of 24 chunks",
        "failed in 500 ms",
        "8 of 8, 1 failed",
        "skipped",
        "no chunk was run",
        "running",
    ):
        assert expected in said


def test_the_picture_is_the_same_each_time_and_describes_itself() -> None:
    plan = plan_of(*WORDS)
    root = drawn(plan, ran())
    description = root.findtext(f"{SVG}desc") or ""

    assert ElementTree.tostring(root) == ElementTree.tostring(drawn(plan, ran()))
    assert root.findtext(f"{SVG}title") == "TaskGraph words"
    assert "Wave 2: reduce, failed in 500 ms, 8 of 8, 1 failed" in description


def test_no_box_overlaps_another_and_all_are_inside() -> None:
    wide = plan_of(*((f"t{number}", "input: {count: 1}") for number in range(20)))
    root = drawn(wide)
    boxes = [box for box in root.iter(f"{SVG}rect") if box.get("rx") == "6"]
    edges = sorted((float(box.get("y", "")), float(box.get("y", "")) + float(box.get("height", ""))) for box in boxes)

    assert len(edges) == 20
    assert all(end < start for (_, end), (start, _) in pairwise(edges))
    assert edges[-1][1] < float(root.get("height", ""))


def test_validate_says_waves_chunks_partitions_and_what_is_delivered() -> None:
    prepared = prepare([Document("x.yaml", "/b", yaml(*WORDS))])

    assert list(described(prepared)) == [
        "TaskGraph words: 6 tasks in 4 waves",
        "  1. map     a chunk per file; 8 partitions by key in 512 MiB of Memory",
        "  1. names   3 chunks; 8 partitions by file in 512 MiB of Block, streamed",
        "  2. reduce  8 chunks, a partition of map, names each",
        "  2. note    1 chunk",
        "  3. final   1 chunk of all outputs of reduce",
        "  4. late    a chunk per output of note",
        "  outputs: final, late",
    ]


def test_the_text_after_a_run_says_what_became_of_each_task() -> None:
    said = list(outlines.lines(plan_of(*WORDS), ran()))

    assert "  2. reduce  8 chunks, a partition of map, names each; failed in 500 ms, 8 of 8, 1 failed" in said
    assert "  3. final   1 chunk of all outputs of reduce; skipped, no chunk was run" in said


@pytest.mark.unhappy("a graph and a job of one name: a fault, as they would have one store")
def test_a_job_and_a_graph_of_one_name_are_a_fault() -> None:
    job = "kind: Job\napiVersion: leasegrid.dev/v1alpha1\nmetadata: {name: words}\n"
    job += "spec: {tasklet: {module: {path: a.wasm}}, input: {count: 1}}\n---\n"
    (fault,) = prepare([Document("x.yaml", "/b", job + yaml(*WORDS))]).faults

    assert "the Job of x.yaml has the same name" in str(fault)


@pytest.mark.unhappy("a cycle is named by its way; an unknown dependency with a suggestion; both at once")
def test_a_cycle_and_an_unknown_dependency_are_told_together() -> None:
    faults = prepare(
        [
            Document(
                "x.yaml",
                "/b",
                yaml(
                    ("map", "dependsOn: [final], input: {count: 1}"),
                    ("reduce", "dependsOn: [mpa], input: {count: 1}"),
                    ("final", "dependsOn: [map], input: {count: 1}"),
                ),
            )
        ]
    ).faults
    said = "\n".join(map(str, faults))

    assert len(faults) == 2
    assert "map -> final -> map" in said
    assert "did you mean map?" in said
