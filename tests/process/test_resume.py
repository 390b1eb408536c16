"""A run that goes on says so; one that cannot says why, and begins anew when it is told to."""

from pathlib import Path

import pytest

from tests.process import cli_jobs
from tests.process.resumed import LINES, WANTED, committed, files_of, kill_at, run_again, write_job
from tests.support import wat
from tests.support.doomed_command import Instant
from tests.support.running import Place, run_leasegrid

DISK = "tasklet_runner.store.disk:DiskStore"
COMMITTED = Instant(f"{DISK}.write", "after")
ALL_DONE = Instant(f"{DISK}.put_value", argument="finished")
FINISHED = Instant(f"{DISK}.put_value", "after", argument="finished")


def test_a_run_that_goes_on_says_so_in_its_summary_and_its_document(tmp_path: Path) -> None:
    place, out = Place(tmp_path), tmp_path / "out"
    arguments = ("run", write_job(place), "--workers", "1", "--results", str(out))
    kill_at(place, COMMITTED, *arguments)
    kill_at(place, FINISHED, *arguments)

    ended = run_leasegrid(place, *arguments)
    assert "  resumed: 5 of 5 chunks were done (generation 3)" in ended.out.splitlines(), str(ended)


@pytest.mark.smoke
@pytest.mark.unhappy("resume of an unfinished job with changed YAML or module: refused, says what changed")
def test_a_changed_job_is_refused_until_it_is_told_to_begin_anew(tmp_path: Path) -> None:
    place, out = Place(tmp_path), tmp_path / "out"
    file = write_job(place)
    arguments = ("run", file, "--workers", "1", "--results", str(out))
    kill_at(place, COMMITTED, *arguments)
    done = committed(place)
    assert done
    Path(file).write_text(Path(file).read_text().replace("  lease", "  parallelism: 2\n  lease"))
    (tmp_path / "echo.wasm").write_bytes(wat.slow_echo(1))

    refused = run_leasegrid(place, *arguments)
    assert refused.code == 2, str(refused)
    assert f"{done} chunk" in refused.error
    assert f"{tmp_path}/echo.wasm: its content was changed" in refused.error
    assert "--restart" in refused.error
    assert "parallelism" not in refused.error
    assert committed(place) == done

    anew = run_leasegrid(place, *arguments, "--restart")
    assert anew.code == 0, str(anew)
    assert "begins anew; what an earlier run had left is deleted" in anew.error
    assert "resumed" not in anew.out
    assert files_of(out) == WANTED


@pytest.mark.unhappy("the second of two jobs was changed: said before the first of them runs")
def test_a_changed_job_is_refused_before_anything_of_its_file_runs(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = Path(write_job(place))
    kill_at(place, COMMITTED, "run", str(file), "--workers", "1")
    changed = file.read_text().replace("perChunk: 1", "perChunk: 2")
    file.write_text("---\n".join([cli_jobs.job("first", module="echo.wasm"), changed]))

    refused = run_leasegrid(place, "run", str(file))
    assert refused.code == 2, str(refused)
    assert "spec.input.lines.perChunk: was 1, is 2" in refused.error
    assert "first" not in refused.error + refused.out


@pytest.mark.unhappy("an input that was edited between two runs: refused by the chunk whose input it is")
def test_an_edited_input_is_refused_with_its_chunk(tmp_path: Path) -> None:
    place = Place(tmp_path)
    arguments = ("run", write_job(place), "--workers", "1", "--results", str(tmp_path / "out"))
    kill_at(place, ALL_DONE, *arguments)
    (tmp_path / "lines.txt").write_text("".join(LINES).replace("line 1", "LINE 1"))

    refused = run_leasegrid(place, *arguments)
    assert refused.code == 4, str(refused)
    assert "chunk 1 of main, which an earlier run has done, has another input now" in refused.out
    assert "--restart" in refused.out
    assert run_leasegrid(place, *arguments, "--restart").code == 0


def test_a_job_that_finished_and_was_handed_over_starts_anew_whatever_was_changed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("hello"))
    assert run_leasegrid(place, "run", file).code == 0
    file = cli_jobs.write(place, cli_jobs.job("hello", chunks=4))

    job = run_again(place, "run", file)
    assert (job["chunks"]["succeeded"], job["resumedChunks"], job["resumeCount"]) == (4, 0, 0)


@pytest.mark.unhappy("results that could not be written: the next run writes them, and runs nothing")
def test_outputs_that_could_not_be_written_are_written_by_the_next_run(tmp_path: Path) -> None:
    place, out = Place(tmp_path), tmp_path / "out"
    arguments = ("run", write_job(place), "--workers", "1", "--results", str(out))
    (out / "0").mkdir(parents=True)
    (out / "0" / "stdout").mkdir()
    failed = run_leasegrid(place, *arguments)
    assert failed.code == 4, str(failed)
    (out / "0" / "stdout").rmdir()

    job = run_again(place, *arguments)
    assert files_of(out) == WANTED
    assert (job["resumedChunks"], job["resumeCount"], job["receipt"]["tasklets"]) == (5, 1, 0)
