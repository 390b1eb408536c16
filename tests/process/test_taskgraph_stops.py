"""Ctrl-C in the middle of a graph: nothing of it is left but its outputs so far, and the next run goes on."""

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.process.graph_files import SHUFFLE, graph, items, task, write
from tests.support.listing import leftovers
from tests.support.running import Place, leasegrid, run_leasegrid

GRAPH = graph(
    task("map", input=items("a\t1\n", "b\t2\n", "c\t3\n"), shuffle=SHUFFLE),
    task("beside", input=items("x")),
    task("reduce", "slow", reads=("map",)),
    task("final", dependsOn=["reduce"], input={"from": "reduce", "gather": True}),
)


@pytest.mark.unhappy("Ctrl-C in the middle of a graph: nothing is left, and the next run goes on from there")
def test_after_ctrl_c_in_a_later_wave_the_next_run_goes_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = write(place, GRAPH)
    with leasegrid(place, "run", file, "--workers", "1") as running:
        running.wait_for_text("reduce running")
        running.send(signal.SIGINT)
        stopped = running.wait(30)
    assert stopped.code == 130, str(stopped)
    assert leftovers(place.root, place.runtime, place.scratch).nothing, str(stopped)
    (held,) = json.loads(run_leasegrid(place, "leases", "--json").out)["leases"]

    resumed = run_leasegrid(place, "run", file, "--workers", "2", "--json", "--results", str(tmp_path / "out"))

    assert held["chunks"] >= 1
    assert resumed.code == 0, str(resumed)
    (found,) = json.loads(resumed.out)["jobs"]
    assert [one["state"] for one in found["tasks"]] == ["Succeeded"] * 4
    assert (tmp_path / "out" / "final" / "0" / "stdout").read_text() == "awake\n" * 3
    assert leftovers(place.root, place.runtime, place.scratch).nothing
    assert json.loads(run_leasegrid(place, "leases", "--json").out)["leases"] == []


@pytest.mark.unhappy("partitions that need more memory together than there is: refused at once, with what there is")
def test_stages_that_would_wait_for_each_others_memory_are_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    room = psutil.virtual_memory().total // 2
    shuffle = {"partitions": 2, "size": f"{room * 3 // 4 // 1024**2}Mi"}
    producers = [task(name, input=items("a\t1\n"), shuffle=shuffle) for name in ("one", "two")]
    file = write(place, graph(*producers, task("first", reads=("one",)), task("second", reads=("two",))))

    ended = run_leasegrid(place, "run", file)

    assert ended.code == 3, str(ended)
    assert "needs the partitions of one, two at the same time" in ended.error, str(ended)
    assert leftovers(place.root, place.runtime, place.scratch).nothing, str(ended)
