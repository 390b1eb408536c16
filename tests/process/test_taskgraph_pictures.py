"""What is known of a graph that ran while its outputs are kept: pictures, times, results."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.process.graph_files import SHUFFLE, graph, items, task, write
from tests.support.running import Place, run_leasegrid

pytestmark = pytest.mark.timeout(300)

GRAPH = graph(task("map", input=items("a\t1\n", "b\t2\n"), shuffle=SHUFFLE), task("reduce", reads=("map",)))


def test_a_kept_run_is_drawn_until_its_outputs_are_fetched(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = write(place, GRAPH)
    before = run_leasegrid(place, "graph", file)
    ran = run_leasegrid(place, "run", file)
    after = run_leasegrid(place, "graph", file)
    plain = run_leasegrid(place, "graph", file, "--no-run")
    drawn = run_leasegrid(place, "graph", file, "-o", str(tmp_path / "graph.svg"))
    timeline = run_leasegrid(place, "timeline", "graph", "-o", str(tmp_path / "timeline.svg"))
    text = run_leasegrid(place, "timeline", "default/graph")
    run_leasegrid(place, "results", "graph", str(tmp_path / "out"))
    gone = run_leasegrid(place, "timeline", "graph")
    fresh = run_leasegrid(place, "graph", file, "--run")

    assert [ran.code, drawn.code, timeline.code, gone.code, fresh.code] == [0, 0, 0, 4, 4], str(ran)
    assert before.out == plain.out
    assert "map     2 chunks; 3 partitions by key in 4 MiB of Memory; succeeded in " in after.out
    assert "reduce  3 chunks, a partition of map each; succeeded in " in after.out
    for name in ("graph.svg", "timeline.svg"):
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")  # noqa: S314 - our own document
    assert text.out.startswith("members under lease")
    assert "no outputs of a job default/graph are kept" in gone.error


@pytest.mark.unhappy("a picture of which of several graphs: said with their names; an unwritable place: said at once")
def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path)
    two = write(place, f"{GRAPH}\n---\n{graph(task('a'), name='other')}")

    several = run_leasegrid(place, "graph", two)
    named = run_leasegrid(place, "graph", two, "--name", "other")
    absent = run_leasegrid(place, "graph", two, "--name", "x")
    nowhere = run_leasegrid(place, "graph", two, "--name", "other", "-o", str(tmp_path / "no" / "x.svg"))
    ending = run_leasegrid(place, "graph", two, "-o", "x.png")

    assert [several.code, named.code, absent.code, nowhere.code, ending.code] == [2, 0, 2, 4, 2]
    assert "graph, other" in several.error
    assert "--name" in several.error
    assert named.out.startswith("TaskGraph other: 1 task in 1 wave")
