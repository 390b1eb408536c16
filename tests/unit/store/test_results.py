"""Outputs as files: where they stand, what collides, what happens when the directory is not to be had."""

import asyncio
import os
from pathlib import Path

import pytest

from tasklet_runner.plan.types import Layout
from tasklet_runner.store.exporting import ResultsDirectory
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.store.results import ExportReport, export_results
from tasklet_runner.wire.errors import ResultsError, StoreError
from tasklet_runner.wire.faults import Fault, FaultKind
from tests.support.small_disk import run_on_small_disk
from tests.support.stores import MEBIBYTE, commit, files_below, opened, output

Chunk = tuple[CommitRecord, dict[str, bytes]]


def chunk(index: int, outputs: dict[str, bytes], path: str = "", attempt: int = 1) -> Chunk:
    return commit(index, attempt, objects=tuple(outputs), path=path), outputs


def export(tmp_path: Path, chunks: list[Chunk], layout: Layout) -> ExportReport:
    async def run() -> ExportReport:
        async with opened(tmp_path / "store") as store:
            for record, outputs in chunks:
                await store.write([NewObject(record.key(name), data) for name, data in outputs.items()], [record])
            return await export_results(store, "main", tmp_path / "results", layout)

    return asyncio.run(run())


def test_by_index_each_chunk_has_a_directory_of_its_own(tmp_path: Path) -> None:
    report = export(
        tmp_path,
        [chunk(0, {"stdout": b"zero", "out/a.o": b"A"}), chunk(12, {"stdout": b"", "out/sub/a.o": b"B"}, attempt=3)],
        Layout.BY_INDEX,
    )
    assert files_below(tmp_path / "results") == {
        "0/stdout": b"zero",
        "0/a.o": b"A",
        "12/stdout": b"",
        "12/sub/a.o": b"B",
    }
    assert report == ExportReport(files=4, byte_count=6, chunks=2)


def test_by_path_files_stand_at_their_own_paths_and_stdout_beside_the_input(tmp_path: Path) -> None:
    export(
        tmp_path,
        [
            chunk(0, {"stdout": b"warnings", "out/lib/a.o": b"A"}, path="lib/a.c"),
            chunk(1, {"stdout": b"of no file", "out/lib/b.o": b"B"}),
        ],
        Layout.BY_PATH,
    )
    assert files_below(tmp_path / "results") == {
        "lib/a.c.stdout": b"warnings",
        "lib/a.o": b"A",
        "1.stdout": b"of no file",
        "lib/b.o": b"B",
    }


def test_large_outputs_are_streamed_and_older_files_replaced(tmp_path: Path) -> None:
    large = os.urandom(3 * MEBIBYTE + 17)
    (tmp_path / "results" / "0").mkdir(parents=True)
    (tmp_path / "results" / "0" / "stdout").write_bytes(b"older and longer" * MEBIBYTE)
    report = export(tmp_path, [chunk(0, {"stdout": large}), chunk(1, {"stdout": large[:MEBIBYTE]})], Layout.BY_INDEX)
    assert files_below(tmp_path / "results") == {"0/stdout": large, "1/stdout": large[:MEBIBYTE]}
    assert report.byte_count == 4 * MEBIBYTE + 17


def test_a_chunk_that_failed_has_no_output(tmp_path: Path) -> None:
    failed = CommitRecord("main", 0, 1, "0-00", fault=Fault(kind=FaultKind.TIMED_OUT, message="too slow"))
    export(tmp_path, [(failed, {}), chunk(1, {"stdout": b"one"})], Layout.BY_INDEX)
    assert files_below(tmp_path / "results") == {"1/stdout": b"one"}


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        pytest.param({"out/a": b"1"}, {"out/a": b"2"}, "'a'", id="the same file"),
        pytest.param({"out/a": b"1"}, {"out/a/b": b"2"}, "'a'", id="a file where another wants a directory"),
        pytest.param({"out/a/b": b"1"}, {"out/a": b"2"}, "'a'", id="a directory where another wants a file"),
        pytest.param({"stdout": b"1"}, {"out/x.c.stdout": b"2"}, "'x.c.stdout'", id="a file and another's stdout"),
    ],
)
@pytest.mark.unhappy("two chunks write one path")
def test_by_path_a_collision_names_both_chunks_and_writes_nothing(
    first: dict[str, bytes], second: dict[str, bytes], path: str, tmp_path: Path
) -> None:
    chunks = [chunk(3, first, path="x.c"), chunk(8, second, path="y.c"), chunk(1, {"stdout": b"fine"}, path="z.c")]
    with pytest.raises(ResultsError, match=rf"chunks 3 and 8 both have an output at {path}.*ByIndex"):
        export(tmp_path, chunks, Layout.BY_PATH)
    assert not (tmp_path / "results").exists()


def test_by_index_a_file_named_stdout_collides_with_its_own_chunks_stdout(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="chunk 5 has twice an output at '5/stdout'"):
        export(tmp_path, [chunk(5, {"stdout": b"", "out/stdout": b""})], Layout.BY_INDEX)


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//b", ".", "", "nul\0", "a/.."], ids=ascii)
def test_no_name_leaves_the_directory(name: str, layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="chunk 4 of stage main has an output named"):
        export(tmp_path, [chunk(1, {"stdout": b"fine"}), chunk(4, {f"out/{name}": b"x"})], layout)
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_no_input_path_leaves_the_directory(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="chunk 4"):
        export(tmp_path, [chunk(4, {"stdout": b"x"}, path="../../etc/passwd")], Layout.BY_PATH)


@pytest.mark.parametrize("in_the_way", ["results", "results/0", "results/0/stdout/x"])
def test_something_in_the_way_is_named(in_the_way: str, tmp_path: Path) -> None:
    (tmp_path / in_the_way).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / in_the_way).write_text("in the way")
    with pytest.raises(ResultsError, match="cannot write results into"):
        export(tmp_path, [chunk(0, {"stdout": b"x"})], Layout.BY_INDEX)
    assert not list(tmp_path.rglob(".leasegrid-*"))


def test_a_corrupt_object_is_not_exported(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "store") as store:
            await store.write([output(0, b"x" * 3 * MEBIBYTE)], [commit(0)])
            (file,) = (tmp_path / "store" / "files").glob("*/*")
            with file.open("r+b") as opened_file:
                opened_file.seek(2 * MEBIBYTE)
                opened_file.write(b"y")
            with pytest.raises(StoreError, match="checksum"):
                await export_results(store, "main", tmp_path / "results", Layout.BY_INDEX)
        assert files_below(tmp_path / "results") == {}

    asyncio.run(run())


_EXPORT = """
import asyncio, pathlib, sys
from tasklet_runner.plan.types import Layout
from tasklet_runner.store.exporting import ResultsDirectory
from tasklet_runner.store.results import export_results
from tests.support.stores import opened
from tasklet_runner.wire.errors import ResultsError
target = pathlib.Path(sys.argv[1]) / "results"

async def main():
    async with opened(pathlib.Path(STORE)) as store:
        try:
            await export_results(store, "main", target, Layout.BY_INDEX)
        except ResultsError as error:
            print(error)
    files = [path for path in target.rglob("*") if path.is_file()]
    assert all(path.stat().st_size == 1_000_000 * int(path.parent.name) for path in files)
    assert 0 < len(files) < 7

asyncio.run(main())
"""


@pytest.mark.unhappy("the results directory's disk is full")
def test_a_full_results_disk_says_so_and_leaves_only_whole_files(tmp_path: Path) -> None:
    async def write() -> None:
        async with opened(tmp_path / "store") as store:
            for index in range(7):
                await store.write([output(index, b"x" * 1_000_000 * index)], [commit(index)])

    asyncio.run(write())
    printed = run_on_small_disk(f"STORE = {str(tmp_path / 'store')!r}\n{_EXPORT}", tmp_path / "disk", megabytes=4)
    assert "cannot write results into" in printed
    assert "larger disk" in printed


@pytest.mark.unhappy("an export that is killed half-way: the next removes what it had half written")
def test_what_a_dead_export_had_half_written_is_removed_but_not_that_of_a_living_one(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with ResultsDirectory(results) as living, living.open("0/stdout") as descriptor:
        living.append(descriptor, b"half")
        dead = results / ".leasegrid-dead"
        dead.mkdir()
        for name in ("lock", "1"):
            (dead / name).write_bytes(b"half")
        export(tmp_path, [chunk(1, {"stdout": b"whole"})], Layout.BY_INDEX)
        assert not dead.exists()
        assert not (results / "0/stdout").exists()
    assert {path.relative_to(results).as_posix() for path in results.rglob("*")} == {"0", "0/stdout", "1", "1/stdout"}
    assert (results / "0/stdout").read_bytes() == b"half"
