"""The format of snapshots: what was written comes back whole, or nothing of it."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.sandbox.snapshot_files import SnapshotFile, write_snapshot
from tasklet_runner.sandbox.snapshots import (
    PAGE_BYTES,
    Description,
    SnapshotRefusedError,
    bitmap,
    decode_head,
    encode_head,
    head_bytes,
    runs_of,
)

PLAIN = Description("aa" * 32, "0-bb", steps=7, fuel_used=12345, stdin=3, global_values=((2, 0, bytes(16)),))
VALUES = st.tuples(st.integers(0, 99), st.integers(0, 4), st.binary(min_size=16, max_size=16))


@given(st.sets(st.integers(0, 299)))
def test_runs_name_each_page_of_a_bitmap_once_and_in_order(pages: set[int]) -> None:
    runs = runs_of(bitmap(sorted(pages), 300), 300)
    assert [page for first, end in runs for page in range(first, end)] == sorted(pages)
    assert all(before[1] < after[0] for before, after in pairwise(runs))


@given(st.integers(0, 2**40), st.integers(0, 2**60), st.lists(VALUES, max_size=300), st.sets(st.integers(0, 999)))
def test_a_head_comes_back_as_it_was_and_its_length_is_one_of_whole_blocks(
    steps: int, fuel: int, values: list[tuple[int, int, bytes]], pages: set[int]
) -> None:
    described = Description(
        "ab", "0-c", steps, fuel, 0, tuple(values), pages=1000, present=bitmap(list(pages), 1000), stdout=5
    )
    head = encode_head(described)
    assert len(head) % 4096 == 0
    assert head_bytes(head[:4096], len(head) + len(pages) * PAGE_BYTES + 5) == len(head)
    assert decode_head(head) == described


def test_memory_stdout_and_numbers_come_back_over_whatever_was_in_memory(tmp_path: Path) -> None:
    memory = bytearray(5 * PAGE_BYTES)
    memory[PAGE_BYTES + 7] = 1
    memory[4 * PAGE_BYTES : 5 * PAGE_BYTES] = bytes([9]) * PAGE_BYTES
    write_snapshot(tmp_path, PLAIN, memoryview(memory), b"so far\n")
    found = SnapshotFile.open(tmp_path)
    assert found is not None
    dirty = bytearray(b"\x55" * len(memory))
    assert found.load(memoryview(dirty)) == b"so far\n"
    found.close()
    assert dirty == memory
    assert (found.description.steps, found.description.fuel_used, found.description.stdin) == (7, 12345, 3)
    assert (tmp_path / "snapshot").stat().st_size < 3 * PAGE_BYTES, "pages of zeros take no room"


def test_a_module_without_memory_has_snapshots_too(tmp_path: Path) -> None:
    write_snapshot(tmp_path, PLAIN, memoryview(bytearray()), b"")
    found = SnapshotFile.open(tmp_path)
    assert found is not None
    assert found.load(memoryview(bytearray())) == b""
    found.close()


def test_no_snapshot_is_none(tmp_path: Path) -> None:
    assert SnapshotFile.open(tmp_path) is None


def _load(directory: Path) -> None:
    found = SnapshotFile.open(directory)
    assert found is not None
    try:
        found.load(memoryview(bytearray(found.description.pages * PAGE_BYTES)))
    finally:
        found.close()


@pytest.mark.unhappy("every byte of a snapshot's head flipped, and bytes all over its pages")
def test_no_flipped_byte_is_ever_accepted(tmp_path: Path) -> None:
    memory = bytearray(b"\x01" * 2 * PAGE_BYTES)
    write_snapshot(tmp_path, PLAIN, memoryview(memory), b"output")
    file = tmp_path / "snapshot"
    good = file.read_bytes()
    _load(tmp_path)
    with file.open("r+b", buffering=0) as open_file:
        for position in (*range(4096), *range(4096, len(good), 1117), *range(len(good) - 8, len(good))):
            open_file.seek(position)
            open_file.write(bytes([good[position] ^ 0x10]))
            with pytest.raises(SnapshotRefusedError):
                _load(tmp_path)
            open_file.seek(position)
            open_file.write(good[position : position + 1])
    _load(tmp_path)


@pytest.mark.unhappy("a snapshot torn anywhere")
def test_no_torn_file_is_ever_accepted(tmp_path: Path) -> None:
    write_snapshot(tmp_path, PLAIN, memoryview(bytearray(b"\x01" * PAGE_BYTES)), b"output")
    file = tmp_path / "snapshot"
    good = file.read_bytes()
    for length in (*range(200), *range(200, len(good), 331), len(good) - 1):
        file.write_bytes(good[:length])
        with pytest.raises(SnapshotRefusedError):
            _load(tmp_path)


@pytest.mark.unhappy("a snapshot of another version of the format")
def test_another_version_is_refused_naming_both() -> None:
    head = bytearray(encode_head(PLAIN))
    head[8] = 9
    with pytest.raises(SnapshotRefusedError, match="format version 9, this LeaseGrid reads version 1"):
        head_bytes(bytes(head), len(head))
