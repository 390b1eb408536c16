"""`leasegrid run` of a TaskGraph: what its user gets, and that nothing of it is left."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasklet_runner.plan.partition import partition
from tests.process.graph_files import SHUFFLE, graph, items, stdouts, task, write
from tests.support.listing import leftovers
from tests.support.running import Ended, Place, run_leasegrid


def only(ended: Ended) -> dict[str, Any]:
    """The one graph of the JSON document."""
    (found,) = json.loads(ended.out)["jobs"]
    assert isinstance(found, dict)
    return found


def nothing_is_left(place: Place) -> bool:
    """No process, socket, runtime or scratch directory, and nothing in the state directory but what is for ever."""
    volumes = [*(place.state / "leasegrid").glob("*/*/*"), *(place.state / "leasegrid" / "stores").glob("*")]
    return leftovers(place.root, place.runtime, place.scratch).nothing and not volumes


def shuffled(*mapped: str, partitions: int = 3) -> list[str]:
    """The lines of these outputs by partition, as the definition of a shuffle has it."""
    parts = [""] * partitions
    for line in (line for output in mapped for line in output.splitlines()):
        parts[partition(line.partition("\t")[0].encode(), partitions)] += f"{line}\n"
    return parts


@pytest.mark.smoke
@pytest.mark.unhappy("keys of any script, without a value, and an empty line go through a whole graph")
@pytest.mark.parametrize(("medium", "volumes"), [("Memory", 0), ("Block", 1)])
def test_lines_go_by_their_keys_through_map_reduce_and_gather_and_nothing_is_left(
    medium: str, volumes: int, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    mapped = ("schön\t1\n雪\t2\n\nclé", "雪\t3\n\N{SNOWMAN}\nschön\t4\n")
    file = write(
        place,
        graph(
            task("map", input=items(*mapped), shuffle={**SHUFFLE, "medium": medium}),
            task("reduce", reads=("map",)),
            task("final", dependsOn=["reduce"], input={"from": "reduce", "gather": True}),
        ),
    )

    ended = run_leasegrid(place, "run", file, "--workers", "2", "--json", "--results", str(tmp_path / "out"))

    assert ended.code == 0, str(ended)
    found = only(ended)
    assert stdouts(tmp_path / "out") == ["".join(shuffled(*mapped))]
    assert [(one["name"], one["state"], one["chunks"]["total"]) for one in found["tasks"]] == [
        ("map", "Succeeded", 2),
        ("reduce", "Succeeded", 3),
        ("final", "Succeeded", 1),
    ]
    assert (found["receipt"]["unverified"], found["receipt"]["volumes"]) == ([], volumes)
    assert (found["receipt"]["volumeBytes"] > 0) is (volumes > 0)
    assert len(found["receipt"]["leases"]) == 2
    assert found["timeline"][-1][1] == 0
    assert nothing_is_left(place)


def test_outputs_of_several_last_tasks_stand_in_directories_of_their_names(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = write(
        place,
        graph(task("first", input=items("a", "b")), task("left", reads=("first",)), task("right", reads=("first",))),
    )

    ended = run_leasegrid(place, "run", file, "--results", str(tmp_path / "out"))

    assert ended.code == 0, str(ended)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["left", "right"]
    assert stdouts(tmp_path / "out" / "left") == stdouts(tmp_path / "out" / "right") == ["a", "b"]


def test_a_join_reads_the_same_partition_of_both_sides(tmp_path: Path) -> None:
    place = Place(tmp_path)
    left, right = "k1\tl\nk2\tl\nk3\tl\n", "k2\tr\nk4\tr\n"
    file = write(
        place,
        graph(
            task("left", input=items(left), shuffle=SHUFFLE),
            task("right", input=items(right), shuffle=SHUFFLE),
            task("join", reads=("right", "left")),
        ),
    )

    ended = run_leasegrid(place, "run", file, "--results", str(tmp_path / "out"))

    assert ended.code == 0, str(ended)
    expected = [one + other for one, other in zip(shuffled(right), shuffled(left), strict=True)]
    assert stdouts(tmp_path / "out") == expected


@pytest.mark.unhappy("a failing task in the middle: its dependents are Skipped, the rest finishes, status 1")
def test_a_failed_task_skips_what_waits_for_it_and_the_rest_finishes(tmp_path: Path) -> None:
    place = Place(tmp_path)
    text = graph(
        task("first", input=items("a")),
        task("bad", "fail", reads=("first",)),
        task("after", reads=("bad",)),
        task("last", dependsOn=["after"]),
        task("beside", reads=("first",)),
        task("final", reads=("beside",)),
    )

    ended = run_leasegrid(place, "run", write(place, text), "--results", str(tmp_path / "out"))

    assert ended.code == 1, str(ended)
    said = {line.split()[0]: " ".join(line.split()[1:]) for line in ended.out.splitlines() if line.startswith("  ")}
    assert said["bad"].startswith("failed: 1 of 1 chunks") or "ExitCode(7)" in ended.out
    assert said["after"] == said["last"] == "skipped: a task that it waits for has failed"
    assert said["final"].startswith("succeeded: 1 of 1 chunks")
    assert "ExitCode(7)" in ended.out
    assert stdouts(tmp_path / "out" / "final") == ["a"]
    assert nothing_is_left(place)


@pytest.mark.unhappy("a graph whose first task has no chunk at all, or one, is complete")
@pytest.mark.parametrize("content", ["", "k\tv\n"], ids=["no chunk", "one chunk"])
def test_a_graph_over_nothing_or_one_chunk_is_complete(content: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "lines").write_text(content, encoding="utf-8")
    text = graph(
        task("map", input={"lines": {"path": "lines"}}, shuffle=SHUFFLE),
        task("reduce", reads=("map",)),
        task("final", dependsOn=["reduce"], input={"from": "reduce", "gather": True}),
    )

    ended = run_leasegrid(place, "run", write(place, text), "--json", "--results", str(tmp_path / "out"))

    assert ended.code == 0, str(ended)
    assert [one["state"] for one in only(ended)["tasks"]] == ["Succeeded"] * 3
    assert stdouts(tmp_path / "out") == [content]
    assert nothing_is_left(place)


@pytest.mark.unhappy("a graph with a cycle or an unknown dependency: status 2, all said, nothing started")
def test_a_graph_that_could_never_start_is_refused_with_its_cycle(tmp_path: Path) -> None:
    place = Place(tmp_path)
    text = graph(task("a", dependsOn=["c"]), task("b", dependsOn=["a"]), task("c", dependsOn=["b", "aa"]))

    ended = run_leasegrid(place, "run", write(place, text))

    assert ended.code == 2
    assert "is a cycle, a -> c -> b -> a" in ended.error
    assert "'aa' is no task of this graph: did you mean a?" in ended.error
    assert "2 faults, nothing was started" in ended.error
    assert nothing_is_left(place)
