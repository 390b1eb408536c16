"""What changed, found and put together again, however a payload changes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.durable.deltas import (
    BLOCK_BYTES,
    Run,
    apply,
    changed_runs,
    decode_table,
    encode,
    encoded_bytes,
    merged,
)

OLD = bytes(range(256)) * 1024  # 256 KiB: 64 blocks


@st.composite
def changes(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A payload and another that differs in some bytes and in its length."""
    old = bytes(draw(st.integers(0, 200_000)))
    new = bytearray(old)
    for position in draw(st.lists(st.integers(0, max(0, len(old) - 1)), max_size=8)):
        new[position : position + 1] = b"x"
    grown = draw(st.integers(-len(new), 10_000))
    return old, bytes(new[:grown] if grown < 0 else new + b"g" * grown)


@given(changes())
def test_a_delta_gives_the_new_payload_from_the_old_one(pair: tuple[bytes, bytes]) -> None:
    old, new = pair
    runs = changed_runs(old, new)
    delta = encode(runs, new)
    assert len(delta) == encoded_bytes(runs)
    assert apply(delta, old, len(new)) == new


def _with(*positions: int) -> bytes:
    new = bytearray(OLD)
    for position in positions:
        new[position] ^= 1
    return bytes(new)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        pytest.param(OLD, [], id="nothing"),
        pytest.param(_with(0), [Run(0, 4096)], id="the first byte: its block"),
        pytest.param(_with(len(OLD) - 1), [Run(63 * 4096, 64 * 4096)], id="the last byte"),
        pytest.param(_with(4095, 4096), [Run(0, 8192)], id="two blocks side by side are one run"),
        pytest.param(_with(0, 40_000, 200_000), [Run(0, 4096), Run(36864, 40960), Run(196608, 200704)], id="scattered"),
        pytest.param(OLD + b"more", [Run(len(OLD), len(OLD) + 4)], id="grown: what is new"),
        pytest.param(OLD[:5000], [], id="shrunk: the size says it all"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_whole_blocks_are_found_and_no_others(new: bytes, expected: list[Run]) -> None:
    assert changed_runs(OLD, new) == expected


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_memory_is_compared_where_it_stands(kind: type) -> None:
    assert changed_runs(kind(OLD), kind(_with(9))) == [Run(0, BLOCK_BYTES)]


def test_what_stands_in_front_has_always_changed() -> None:
    new = _with(5000)
    delta = encode(changed_runs(OLD, new), new, b"front")
    assert apply(delta, b"FRONT" + OLD, 5 + len(new)) == b"front" + new


def test_runs_that_touch_or_overlap_become_one() -> None:
    assert merged([Run(8, 9), Run(0, 4), Run(4, 6), Run(5, 5), Run(7, 7)]) == [Run(0, 6), Run(8, 9)]


def _table(count: int, *runs: tuple[int, int]) -> bytes:
    return struct.pack("<Q", count) + b"".join(struct.pack("<QQ", *run) for run in runs)


@pytest.mark.parametrize(
    ("table", "length"),
    [
        pytest.param(b"", 0, id="nothing at all"),
        pytest.param(_table(1), 8, id="fewer runs than are announced"),
        pytest.param(_table(2**60), 8, id="more runs than there are atoms"),
        pytest.param(_table(1, (0, 0)), 24, id="an empty run"),
        pytest.param(_table(1, (90, 20)), 44, id="a run beyond the end"),
        pytest.param(_table(2, (50, 10), (0, 10)), 60, id="runs that go back"),
        pytest.param(_table(2, (0, 10), (5, 10)), 60, id="runs that overlap"),
        pytest.param(_table(1, (0, 10)), 33, id="fewer bytes than the runs have"),
        pytest.param(_table(1, (0, 10)), 35, id="more bytes than the runs have"),
    ],
)
def test_what_no_delta_is_is_not_taken_for_one(table: bytes, length: int) -> None:
    assert decode_table(table, length, size=100) is None
    assert apply(table.ljust(length, b"x"), bytes(100), 100) is None
