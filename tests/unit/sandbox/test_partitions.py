"""How an output is divided: by the keys of its lines, byte for byte, or by the files of /out."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasklet_runner.plan.partition import partition
from tasklet_runner.sandbox import partitions as module
from tasklet_runner.sandbox.partitions import divide_lines, foreign_entry, part_number, take_files
from tasklet_runner.sandbox.running import Places, Runner
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Fetch, Limits, Mode, PartitionBy, Task
from tests.unit.sandbox import modules
from tests.unit.sandbox.conftest import RunWat

ROOMY = Limits(fuel=100_000_000, memory=1024 * 1024, wall_seconds=5, max_output=1_000_000)


def divided(directory: Path, text: bytes, partitions: int) -> dict[int, bytes]:
    source, destination = directory / "source", directory / "parts"
    source.write_bytes(text)
    destination.mkdir()
    parts = divide_lines(source, destination, partitions)
    found = {part_number(path.name): path.read_bytes() for path in destination.iterdir()}
    assert parts == tuple(sorted((number, len(data)) for number, data in found.items()))
    for path in destination.iterdir():
        path.unlink()
    destination.rmdir()
    return found


def expected(text: bytes, partitions: int) -> dict[int, bytes]:
    """The contract in its plainest words."""
    parts: dict[int, bytes] = {}
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        number = partition(line.split(b"\t")[0], partitions)
        parts[number] = parts.get(number, b"") + line + b"\n"
    return parts


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"a\t1\nb\t2\na\t3\n", id="lines of one key stay together and in order"),
        pytest.param("straße\t1\nπ\t2\n日本\t3\nπ\t4\n".encode(), id="keys are unicode"),
        pytest.param(b"\xff\xfe\x00\t1\n\x00\t2\n\xff\xfe\x00\t\x00\n", id="keys are no text at all"),
        pytest.param(b"k\ta\tb\tc\nk\td\n", id="only the first tab ends a key"),
        pytest.param(b"\tno key\n\tno key either\n", id="a key may be empty"),
        pytest.param(b"one\ntwo\none\n", id="a line without a tab is its own key"),
        pytest.param(b"\n\n\na\t1\n\n", id="empty lines are lines"),
        pytest.param(b"a\t1\nb\t2", id="a last line without newline gets one"),
        pytest.param(b"alone", id="a single line without newline"),
        pytest.param(b"a\t1\r\nb\t2\r\n\x0b\x0c\x85\n", id="nothing but a newline ends a line"),
        pytest.param(b"", id="no output has no parts"),
    ],
)
@pytest.mark.parametrize("partitions", [1, 3, 1000])
def test_lines_go_where_their_key_belongs(text: bytes, partitions: int, tmp_path: Path) -> None:
    assert divided(tmp_path, text, partitions) == expected(text, partitions)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"k\t" + b"x" * 700_000 + b"\nk\t1\nm\t2\n", id="a value longer than a window"),
        pytest.param(b"a\t1\n" + b"y" * 700_000 + b"\n" + b"y" * 700_000 + b"\t2\na\t3\n", id="a key longer than one"),
        pytest.param(b"a\t1\n" + b"z" * 700_000, id="a long last line without newline"),
        pytest.param(b"b" * 300_000 + b"\t" + b"z" * 300_000, id="a long key and a long value without newline"),
        pytest.param(b"".join(b"%d\t%d\n" % (n % 997, n) for n in range(120_000)), id="more than several windows"),
        pytest.param(b"hot\t%s\n" % (b"v" * 90) * 20_000 + b"cold\t1\n", id="nearly everything has one key"),
    ],
)
def test_long_outputs_are_divided_the_same(text: bytes, tmp_path: Path) -> None:
    assert divided(tmp_path, text, 7) == expected(text, 7)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400).map(lambda data: data.replace(b"x", b"\n").replace(b"y", b"\t")), st.integers(1, 40))
def test_any_bytes_are_divided_as_the_contract_says(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, partitions: int
) -> None:
    assert divided(tmp_path_factory.mktemp("any"), text, partitions) == expected(text, partitions)


def test_small_windows_and_buffers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"".join(b"key %d\tvalue %d\n" % (n % 90, n) for n in range(3000)) + b"last"
    whole = divided(tmp_path, text, 11)
    for name, value in (("_WINDOW_BYTES", 50), ("_BUFFERED_BYTES", 100), ("_CACHED_KEYS", 4)):
        monkeypatch.setattr(module, name, value)
        assert divided(tmp_path, text, 11) == whole == expected(text, 11)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("part-0", 0),
        ("part-9999", 9999),
        ("part-", -1),
        ("part-07", -1),
        ("part--1", -1),
        ("part-1 ", -1),
        ("part-1\n", -1),
        ("part-٣", -1),
        ("Part-1", -1),
    ],
)
def test_a_partition_has_one_name(name: str, number: int) -> None:
    assert part_number(name) == number


def test_files_are_moved_and_empty_ones_are_no_parts(tmp_path: Path) -> None:
    out, held = tmp_path / "out", tmp_path / "held"
    out.mkdir()
    held.mkdir()
    for name, data in (("part-2", b"two"), ("part-10", b"ten!"), ("part-0", b"")):
        (out / name).write_bytes(data)
    inode = (out / "part-2").stat().st_ino
    assert take_files(out, held) == ((2, 3), (10, 4))
    assert (held / "part-2").stat().st_ino == inode
    assert sorted(os.listdir(held)) == ["part-10", "part-2"]


@pytest.mark.unhappy("something else than parts in /out")
@pytest.mark.parametrize("name", ["part-3", "notes.txt", "part-01", "sub/part-0", "part-1/file"])
def test_what_is_no_part_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "part-2").write_bytes(b"a part")
    assert foreign_entry(tmp_path, 3) == ""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    assert repr(name.split("/")[0]) in foreign_entry(tmp_path, 3)


@pytest.mark.unhappy("a symlink with the name of a part")
def test_a_link_is_no_part(tmp_path: Path) -> None:
    (tmp_path / "part-0").symlink_to("/etc/hostname")
    assert foreign_entry(tmp_path, 3) == "'part-0', which is no regular file,"


def test_a_run_by_key_holds_its_parts_and_shows_neither_stdout_nor_files(run: RunWat, places: Places) -> None:
    text = b"a\t1\nb\t2\nc\t3\na\t4"
    outcome = run(modules.ECHO, Task(7, 2, "7-aa", text), partitions=5)
    parts = expected(text, 5)
    assert (outcome.fault, outcome.stdout, outcome.files) == (None, b"", ())
    assert outcome.parts == tuple(sorted((number, len(data)) for number, data in parts.items()))
    assert outcome.held_bytes == len(text) + 1
    held = {part_number(path.name): path.read_bytes() for path in (places.held / "7-2").iterdir()}
    assert held == parts


def test_a_run_without_output_is_done_and_holds_nothing(run: RunWat, places: Places) -> None:
    outcome = run(modules.ECHO, partitions=5)
    assert (outcome.fault, outcome.parts, outcome.held_bytes) == (None, (), 0)
    assert not places.held.exists()


def test_runs_of_one_runner_do_not_see_each_others_output(open_runner: Callable[..., Runner], places: Places) -> None:
    runner = open_runner(modules.ECHO, partitions=1)
    for index in range(3):
        runner.run(Task(index, 1, f"{index}-aa", b"%d\n" % index * (3 - index)))
    held = {path.name: (path / "part-0").read_bytes() for path in places.held.iterdir()}
    assert held == {"0-1": b"0\n0\n0\n", "1-1": b"1\n1\n", "2-1": b"2\n"}


@pytest.mark.unhappy("a partitioned output that is too large")
@pytest.mark.parametrize("by", list(PartitionBy))
def test_a_partitioned_output_is_bounded_as_any_other(by: PartitionBy, run: RunWat, places: Places) -> None:
    outcome = run(modules.WRITE_MUCH, partitions=5, partition_by=by)
    assert outcome.fault is not None
    assert outcome.fault.kind is FaultKind.OUTPUT_TOO_LARGE
    assert not places.held.exists()


@pytest.mark.unhappy("a tasklet that writes other files than parts")
def test_by_file_anything_else_in_out_is_a_permanent_fault_with_its_name_and_a_remedy(run: RunWat) -> None:
    outcome = run(modules.WRITE_MUCH, partitions=5, partition_by=PartitionBy.FILE, limits=ROOMY)
    assert outcome.fault is not None
    assert (outcome.fault.kind, outcome.fault.transient) == (FaultKind.UNSUPPORTED, False)
    assert "'big'" in outcome.fault.message
    assert "part-4" in outcome.fault.message
    assert "/out/part-<n>" in outcome.fault.remedy


def test_by_file_parts_are_files_and_stdout_is_dropped(open_runner: Callable[..., Runner], places: Places) -> None:
    text = modules.WRITE_MUCH.replace('"big"', '"part-3"').replace(
        "(i32.const 64) (i32.const 3)", "(i32.const 64) (i32.const 6)"
    )
    runner = open_runner(text, partitions=5, partition_by=PartitionBy.FILE, limits=ROOMY)
    for attempt in (1, 2):
        outcome = runner.run(Task(0, attempt, "0-aa"))
        assert (outcome.fault, outcome.parts, outcome.held_bytes) == (None, ((3, 100_000),), 100_000)
        assert os.listdir(places.held / f"0-{attempt}") == ["part-3"]


@pytest.mark.unhappy("scratch is full when the output is divided")
def test_an_output_that_does_not_fit_beside_its_parts_says_so_and_leaves_nothing(
    run: RunWat, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_all", full)
    outcome = run(modules.ECHO, Task(0, 1, "0-aa", b"a\t1\n"), partitions=2)
    assert outcome.fault is not None
    assert outcome.fault.kind is FaultKind.CAPACITY_EXCEEDED
    assert "4 bytes" in outcome.fault.message
    assert not places.held.exists()


def test_a_fetched_input_is_stdin(open_runner: Callable[..., Runner], tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    task = Task(0, 1, "0-aa", fetch=(Fetch("unix:///s", "grant", ("a", "b")),))
    runner = open_runner(modules.ECHO)
    for data in (b"from a file", b""):
        fetched.write_bytes(data)
        assert runner.run(task, fetched).stdout == data


@pytest.mark.unhappy("a task with fetch beside others in a frame")
def test_a_task_whose_input_was_not_fetched_does_not_run_on_an_empty_one(run: RunWat) -> None:
    outcome = run(modules.ECHO, Task(0, 1, "0-aa", fetch=(Fetch("unix:///s", "grant", ("a",)),)))
    assert outcome.fault is not None
    assert "frame of its own" in outcome.fault.remedy


@pytest.mark.unhappy("a Loop program that is partitioned by file")
def test_a_loop_program_has_no_out_for_parts(open_runner: Callable[..., Runner], places: Places) -> None:
    places.scratch.mkdir()
    with pytest.raises(FaultError, match="no /in and no /out"):
        open_runner(modules.ECHO, mode=Mode.LOOP, partitions=2, partition_by=PartitionBy.FILE)


def test_the_long_line_is_read_where_it_lies(tmp_path: Path) -> None:
    """Closing a map of which a view is left would raise BufferError."""
    (tmp_path / "text").write_bytes(b"k" * 600_000)
    with (tmp_path / "text").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        writer = module.PartWriter(tmp_path, 3)
        writer.add_long_line(text, 0, 600_000)
    assert writer.finish() == ((partition(b"k" * 600_000, 3), 600_001),)
