"""`leasegrid gc` as a user runs it: what is over is deleted and said, what is in use is named and kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.process import cli_jobs
from tests.support.running import Place, leasegrid, run_leasegrid


def let_expire(place: Place) -> None:
    """Every volume's lease that has a time has had it, by what stands on the volume."""
    for file in (place.state / "leasegrid").glob("*/**/lease"):
        lease = json.loads(file.read_text())
        if lease["standing"]["expires"] is not None:
            lease["standing"] |= {"expires": 1.0, "left": 0.0}
            file.write_text(json.dumps(lease))


def collected(place: Place) -> dict[str, Any]:
    ended = run_leasegrid(place, "gc", "--json")
    assert ended.code == 0, str(ended)
    return dict(json.loads(ended.out))


@pytest.mark.smoke
def test_outputs_that_nobody_fetched_are_deleted_after_their_time_and_said(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("words"))).code == 0
    before = run_leasegrid(place, "gc")
    assert "nothing to delete; 1 lease with" in before.out, str(before)
    let_expire(place)

    dry = run_leasegrid(place, "gc", "--dry-run")
    assert "lease words (outputs of job words): it has expired" in dry.out, str(dry)
    assert "would be freed" in dry.out
    assert (place.state / "leasegrid" / "jobs" / "default" / "words").exists()

    done = collected(place)
    (deleted,) = done["deleted"]
    assert (deleted["what"], deleted["bytes"] > 0) == ("lease words (outputs of job words)", True)
    assert not (place.state / "leasegrid" / "jobs" / "default" / "words").exists()
    assert collected(place)["deleted"] == []


def test_a_cache_past_its_retention_is_deleted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    cached = cli_jobs.job("cached", "  cache: {name: build, retainSeconds: 60}\n  output: {store: None}\n")
    assert run_leasegrid(place, "run", cli_jobs.write(place, cached)).code == 0
    assert collected(place)["leasesLeft"] == 1
    let_expire(place)
    assert [one["what"] for one in collected(place)["deleted"]] == ["lease build (cache of results)"]
    assert not (place.state / "leasegrid" / "caches" / "build").exists()


@pytest.mark.unhappy("what a run uses is named and kept, though its time is over")
def test_what_a_run_uses_is_named_and_kept(tmp_path: Path) -> None:
    place = Place(tmp_path)
    cached = cli_jobs.job("slow", "  cache: {name: build, retainSeconds: 60}\n", module="slow.wasm", chunks=100)
    with leasegrid(place, "run", cli_jobs.write(place, cached)) as running:
        running.wait_for_text("running")
        let_expire(place)
        done = run_leasegrid(place, "gc")
        assert f"kept: lease build (cache of results): it has expired, and it is in use by process {running.pid}" in (
            done.out
        ), str(done)
        assert (place.state / "leasegrid" / "caches" / "build").exists()
        running.interrupt_group()
        assert running.wait(30).code == 130
