"""What of /durable counts, and how much may stand there."""

import os
from pathlib import Path

import pytest

from tasklet_runner.sandbox.durable import counts, excess, look
from tasklet_runner.sandbox.trees import MAX_OUTPUT_FILES
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Limits

LIMITS = Limits(max_output=1000)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("state", True, id="a plain name counts"),
        pytest.param("state.tmp.1", True, id="only the end of a name matters"),
        pytest.param("tmp", True, id="a name without a dot counts"),
        pytest.param(".state", False, id="a name that begins with a dot never counts"),
        pytest.param("state.tmp", False, id="a name that ends in .tmp never counts"),
        pytest.param(".snapshot.tmp", False, id="nor one that does both"),
    ],
)
def test_names(name: str, kept: bool) -> None:
    assert counts(name) is kept


def test_files_that_count_are_seen_in_order_with_their_directories_and_all_bytes_are_counted(tmp_path: Path) -> None:
    for name, size in {"b": 3, "a/z": 2, "a/y.tmp": 5, "c.tmp/inside": 7, ".d/inside": 11}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    os.symlink("/etc/passwd", tmp_path / "link")

    seen = look(tmp_path)

    assert [file.name for file in seen.files] == ["a/z", "b"]
    assert seen.directories == ("a",)
    assert (seen.kept_bytes, seen.all_bytes, seen.largest) == (5, 28, 11)


def test_a_directory_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "gone").all_bytes == 0


def test_a_file_that_is_written_anew_is_another_one(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"one")
    before = look(tmp_path)
    assert look(tmp_path).same_files(before)

    (tmp_path / "state.tmp").write_bytes(b"two")
    assert look(tmp_path).same_files(before)
    (tmp_path / "state.tmp").replace(tmp_path / "state")

    assert not look(tmp_path).same_files(before)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        pytest.param({"a": 600, "b": 400}, "", id="as much as maxOutput is taken"),
        pytest.param({"a": 600, "b": 401}, "1001 bytes", id="a byte more is not"),
        pytest.param({"a": 1000, "a.tmp": 1000}, "", id="what is written anew may stand beside what it replaces"),
        pytest.param({"a": 1000, "a.tmp": 999, ".b": 2}, "2001 bytes", id="all together are bounded by twice as much"),
        pytest.param({"a.tmp": 1001}, "1001 bytes", id="no file may be larger than it may become"),
    ],
)
@pytest.mark.unhappy("more in /durable than maxOutput")
def test_too_much(sizes: dict[str, int], words: str, tmp_path: Path) -> None:
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(size))

    fault = excess(look(tmp_path), LIMITS)

    assert (fault is not None) is bool(words)
    if fault is not None:
        assert fault.kind is FaultKind.OUTPUT_TOO_LARGE
        assert words in fault.message
        assert "maxOutput" in fault.message + fault.remedy


@pytest.mark.unhappy("more files in /durable than anyone looks at")
def test_too_many(tmp_path: Path) -> None:
    for number in range(MAX_OUTPUT_FILES + 1):
        os.mknod(tmp_path / str(number))

    fault = excess(look(tmp_path), LIMITS)

    assert fault is not None
    assert f"more than {MAX_OUTPUT_FILES} files" in fault.message


@pytest.mark.unhappy("a path in /durable that is longer than any may be")
def test_too_deep(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 6)
    deep.mkdir(parents=True)

    fault = excess(look(tmp_path), LIMITS)

    assert fault is not None
    assert "path" in fault.message


def test_a_snapshot_is_bounded_by_the_memory_that_it_is_of_and_not_by_max_output(tmp_path: Path) -> None:
    limits = Limits(max_output=1000, memory=100_000)
    for name, size in (("snapshot", 140_000), (".snapshot.tmp", 140_000), ("small", 900)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert excess(look(tmp_path), limits) is None
    with (tmp_path / "snapshot").open("wb") as file:
        file.truncate(200_000)
    fault = excess(look(tmp_path), limits)
    assert fault is not None
    assert "200000 bytes as a snapshot" in fault.message
