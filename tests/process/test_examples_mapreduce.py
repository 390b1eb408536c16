"""The examples of MapReduce run by one command as they stand, pass their check, and leave nothing, nor say they do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.example_runs import EXAMPLES, check
from tests.support.listing import leftovers
from tests.support.running import Place, run_leasegrid

pytestmark = pytest.mark.timeout(900)

FOLDER = EXAMPLES / "mapreduce"


@pytest.mark.usefixtures("shipped_python")
def test_word_count_and_join_are_what_plain_python_computes_and_nothing_of_them_is_left(tmp_path: Path) -> None:
    place = Place(tmp_path)
    files = sorted(str(path) for path in FOLDER.glob("*.yaml"))

    ended = run_leasegrid(place, "run", *files, "--json", "--results", str(tmp_path / "out"), seconds=800)

    assert ended.code == 0, str(ended)
    said = check(FOLDER / "check.py", tmp_path / "out").splitlines()
    assert [line.split(":")[0] for line in said] == ["right", "right"]
    for graph in json.loads(ended.out)["jobs"]:
        assert {task["state"] for task in graph["tasks"]} == {"Succeeded"}
        assert graph["receipt"]["unverified"] == []
        assert max(point[1] for point in graph["timeline"]) >= 2
        assert graph["timeline"][-1][1] == 0
    assert leftovers(place.root, place.runtime, place.scratch).nothing
    assert json.loads(run_leasegrid(place, "leases", "--json").out)["leases"] == []
    assert not [*(place.state / "leasegrid" / "jobs").glob("*/*")]


def test_the_check_sees_counts_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "stdout").write_text("self\t1\n", encoding="ascii")

    command = [sys.executable, str(FOLDER / "check.py"), str(tmp_path), "wordcount"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert (ended.returncode, ended.stderr.startswith("wrong: the counts")) == (1, True), ended.stderr
