"""Caches between runs: two stages share one, and a run that cannot have it works without."""

import json
from pathlib import Path

from tests.process import cli_jobs
from tests.support.running import Place, leasegrid, run_leasegrid

CACHED = "  cache: {name: shared}\n  aggregate: {tasklet: {module: {path: hello.wasm}}}\n"


def test_a_second_run_takes_both_stages_from_the_cache_and_the_cache_is_listed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("cached", CACHED))

    runs = [run_leasegrid(place, "run", file, "--json", "--results", str(tmp_path / "out")) for _ in range(2)]
    held = json.loads(run_leasegrid(place, "leases", "--json").out)["leases"]

    cached = [[stage["cached"] for stage in json.loads(run.out)["jobs"][0]["stages"]] for run in runs]
    assert cached[1] == [3, 1], str(runs[1])
    assert [(lease["name"], lease["purpose"]) for lease in held] == [("shared", "cache of results")]
    assert held[0]["chunks"] >= 2


def test_a_cache_that_another_run_has_makes_a_job_slower_and_not_fail(tmp_path: Path) -> None:
    place = Place(tmp_path)
    slow = cli_jobs.job("slow", "  cache: {name: shared}\n", module="slow.wasm", chunks=200)
    with leasegrid(place, "run", cli_jobs.write(place, slow, name="slow.yaml")) as holding:
        holding.wait_for_text("running")
        ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("other", CACHED)))

    assert ended.code == 0, str(ended)
    assert "results are not cached" in ended.error
