"""What `leasegrid run` gives its user: results, documents, pictures, kept outputs, one status for all."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.process import cli_jobs
from tests.support import wat
from tests.support.listing import leftovers
from tests.support.running import Ended, Place, run_leasegrid


def nothing_is_left(place: Place) -> bool:
    """No process, no socket, no runtime or scratch directory; the state directory is the place for what is kept."""
    return leftovers(place.root, place.runtime, place.scratch).nothing


def document(ended: Ended) -> dict[str, Any]:
    """The JSON document on stdout."""
    loaded = json.loads(ended.out)
    assert isinstance(loaded, dict)
    assert loaded["exitCode"] == ended.code
    return loaded


@pytest.mark.smoke
def test_results_stand_in_the_directory_and_the_store_is_released(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("hello"))

    ended = run_leasegrid(place, "run", file, "--results", str(tmp_path / "out"))

    assert ended.code == 0, str(ended)
    assert sorted(path.read_text() for path in (tmp_path / "out").glob("*/stdout")) == ["hello\n"] * 3
    assert "hello: complete" in ended.out
    assert "0 left behind" in ended.out
    assert run_leasegrid(place, "leases").out.startswith("nothing is held")
    assert nothing_is_left(place)


def test_outputs_that_nobody_fetched_are_kept_listed_and_handed_over_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    run = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("hello")))
    (held,) = json.loads(run_leasegrid(place, "leases", "--json").out)["leases"]

    fetched = run_leasegrid(place, "results", "hello", str(tmp_path / "out"))
    again = run_leasegrid(place, "results", "hello", str(tmp_path / "again"))

    assert "take them with: leasegrid results hello DIR" in run.out
    assert (held["name"], held["resource"], held["chunks"]) == ("hello", "Block", 3)
    assert held["bytes"] > 0
    assert held["expires"] > held["acquired"] + 3500
    assert fetched.code == 0, str(fetched)
    assert len(list((tmp_path / "out").glob("*/stdout"))) == 3
    assert again.code == 4
    assert run_leasegrid(place, "leases").out.startswith("nothing is held")


def test_outputs_are_gone_when_their_time_is_over(tmp_path: Path) -> None:
    place = Place(tmp_path)
    spec = "  output: {retainSeconds: 0}\n"

    ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("hello", spec)), "--json")

    assert document(ended)["jobs"][0]["results"]["keptIn"] is None
    assert run_leasegrid(place, "leases").out.startswith("nothing is held")


def test_a_job_without_a_store_gives_its_outputs_on_stdout_and_keeps_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("hello", "  output: {store: None}\n"))

    ended = run_leasegrid(place, "run", file)

    assert ended.out == "hello\n" * 3
    assert "hello: complete" in ended.error
    assert run_leasegrid(place, "leases").out.startswith("nothing is held")


def test_the_output_of_a_single_chunk_is_shown_in_the_summary(tmp_path: Path) -> None:
    place = Place(tmp_path)

    ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("hello", chunks=1)))

    assert ended.out.endswith("  output:\n    hello\n"), str(ended)


def test_the_document_has_jobs_counts_receipt_figures_and_timeline(tmp_path: Path) -> None:
    place = Place(tmp_path)

    (job,) = document(run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("hello")), "--json"))["jobs"]

    assert (job["name"], job["complete"], job["reason"]) == ("hello", True, "Finished")
    assert job["chunks"] == {"total": 3, "succeeded": 3, "failed": 0, "retried": 0, "cached": 0, "skipped": 0}
    assert job["receipt"]["unverified"] == []
    assert job["receipt"]["tasklets"] == 3
    assert job["figures"]["peakMembers"] >= 1
    assert job["timeline"][-1][1:] == [0, 0, 3]


def test_failed_chunks_are_told_with_remedy_and_the_others_finish(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("broken", module="trap.wasm"))
    (tmp_path / "trap.wasm").write_bytes(wat.trap())

    ended = run_leasegrid(place, "run", file)

    assert ended.code == 1
    assert "broken: ChunksFailed" in ended.out
    assert "Trapped(UNREACHABLE)" in ended.out
    assert "what to do:" in ended.out
    assert "backtrace" in ended.out
    assert nothing_is_left(place)


def test_a_failed_job_stops_those_after_it_unless_told_to_keep_going(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("first", module="trap.wasm"), cli_jobs.job("second"))
    (tmp_path / "trap.wasm").write_bytes(wat.trap())

    stopped = document(run_leasegrid(place, "run", file, "--json"))
    went_on = document(run_leasegrid(place, "run", file, "--json", "--keep-going", "--results", str(tmp_path / "out")))

    assert [job["name"] for job in stopped["jobs"]] == ["first"]
    assert [job["complete"] for job in went_on["jobs"]] == [False, True]
    assert went_on["exitCode"] == 1
    assert (tmp_path / "out" / "second" / "0" / "stdout").read_text() == "hello\n"


@pytest.mark.parametrize("ending", ["svg", "html"])
def test_the_timeline_is_a_picture_or_a_page(ending: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    picture = tmp_path / f"timeline.{ending}"

    ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("hello")), "--timeline", str(picture))

    assert ended.code == 0, str(ended)
    text = picture.read_text(encoding="utf-8")
    assert "members under lease" in text
    assert "hello" in text
    if ending == "svg":
        ElementTree.fromstring(text)  # noqa: S314  # our own document


def test_the_timeline_can_be_drawn_in_the_terminal(tmp_path: Path) -> None:
    place = Place(tmp_path)

    ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("hello")), "--timeline", "-")

    assert "members under lease" in ended.out
    assert "0 └" in ended.out


def test_a_pool_larger_than_the_machine_is_capped_with_a_warning(tmp_path: Path) -> None:
    place = Place(tmp_path)
    pool = cli_jobs.POOL.replace("targetSize: 1", "targetSize: 900").replace("maxSize: 1", "maxSize: 900")
    spec = "  lease: {poolRefs: [{name: small}]}\n"

    found = document(run_leasegrid(place, "run", cli_jobs.write(place, pool, cli_jobs.job("hello", spec)), "--json"))

    assert any("small" in warning for warning in found["warnings"])
    assert found["jobs"][0]["complete"]


@pytest.mark.unhappy("too small a machine: a clear line")
def test_a_requirement_that_no_machine_meets_exits_with_3_and_says_what_there_is(tmp_path: Path) -> None:
    place = Place(tmp_path)
    spec = "  lease: {requirements: {memory: 900Ti}}\n"

    ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("huge", spec)))

    assert ended.code == 3, str(ended)
    assert "Unsupported" in ended.out
    assert "this machine has" in ended.out
    assert nothing_is_left(place)


def test_a_suspended_job_does_not_run(tmp_path: Path) -> None:
    place = Place(tmp_path)

    ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("later", "  suspend: true\n")))

    assert ended.code == 0
    assert "later is suspended" in ended.error


@pytest.mark.unhappy("a file that cannot be read: a clear line")
def test_a_module_that_is_not_there_is_named_and_exits_with_4(tmp_path: Path) -> None:
    place = Place(tmp_path)

    ended = run_leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("lost", module="lost.wasm")))

    assert ended.code == 4
    assert str(tmp_path / "lost.wasm") in ended.out
    assert nothing_is_left(place)


def test_the_leases_of_a_file_wait_for_the_first_members_of_its_own_pools(tmp_path: Path) -> None:
    place = Place(tmp_path)
    pool = cli_jobs.POOL.replace("targetSize: 1\n  maxSize: 1", "targetSize: 2\n  maxSize: 2")
    lease = cli_jobs.LEASE.replace(", onEmpty: Queue", "")
    second = lease.replace("mine", "second")
    spec = "  lease: {poolRefs: [{name: small}]}\n  suspend: true\n"
    file = cli_jobs.write(place, pool, lease, second, cli_jobs.job("hello", spec))

    ended = run_leasegrid(place, "run", file)

    assert ended.code == 0, str(ended)
    assert "lease mine: 1 of 1 members" in ended.error
    assert "lease second: 1 of 1 members" in ended.error
    assert nothing_is_left(place)


@pytest.mark.unhappy("two chunks write one path: both are named, nothing is lost, another layout takes them")
def test_outputs_that_collide_by_path_are_kept_and_taken_by_index(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(
        place,
        cli_jobs.job("same", "  output: {layout: ByPath}\n", module="writer.wasm").replace(
            "writer.wasm}", "writer.wasm}, outputFiles: Always"
        ),
    )
    (tmp_path / "writer.wasm").write_bytes(wat.write_files(1))

    ended = run_leasegrid(place, "run", file, "--results", str(tmp_path / "out"))
    taken = run_leasegrid(place, "results", "same", str(tmp_path / "out"), "--layout", "ByIndex")

    assert ended.code == 4, str(ended)
    assert "--layout" in ended.out + ended.error
    assert taken.code == 0, str(taken)
    assert len(list((tmp_path / "out").glob("*/stdout"))) == 3


def test_a_job_without_one_success_keeps_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("broken", module="broken.wasm"))
    (tmp_path / "broken.wasm").write_bytes(wat.trap())

    ended = run_leasegrid(place, "run", file)

    assert ended.code == 1, str(ended)
    assert "kept" not in ended.out
    assert run_leasegrid(place, "leases").out.startswith("nothing is held")
