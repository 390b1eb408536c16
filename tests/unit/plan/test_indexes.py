"""Indexes as ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.plan.indexes import IndexRanges


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        pytest.param([], "", id="nothing is an empty text"),
        pytest.param([3], "3", id="one index stands alone"),
        pytest.param([0, 1, 2], "0-2", id="neighbours are a range"),
        pytest.param([2, 1, 0], "0-2", id="a range grows at its beginning"),
        pytest.param([0, 2, 1], "0-2", id="what lies between two ranges makes them one"),
        pytest.param([5, 1, 2, 5, 9, 2], "1-2,5,9", id="order and repetition do not matter"),
    ],
)
def test_indexes_are_written_as_ranges(indexes: list[int], text: str) -> None:
    assert IndexRanges(indexes).text() == text


@pytest.mark.parametrize(
    ("indexes", "total", "text"),
    [
        pytest.param([], 4, "0-3", id="of nothing all is left"),
        pytest.param([0, 1, 2, 3], 4, "", id="of all nothing is left"),
        pytest.param([1, 4], 6, "0,2-3,5", id="what lies before, between and after"),
        pytest.param([7], 4, "0-3", id="what lies above the total is not asked for"),
        pytest.param([3], 0, "", id="below zero there is nothing"),
    ],
)
def test_the_rest_is_what_is_not_in_it(indexes: list[int], total: int, text: str) -> None:
    rest = IndexRanges(indexes).rest(total)
    assert (rest.text(), len(rest)) == (text, len(set(range(total)) - set(indexes)))


def test_what_does_not_fit_is_counted() -> None:
    assert IndexRanges([*range(10), 20, 30, 40, 50, 60]).text(limit=16) == "0-9,20 +4 more"


def test_a_limit_without_room_for_any_index_leaves_the_count() -> None:
    assert IndexRanges(range(0, 100, 2)).text(limit=9) == "+50 more"


def test_indexes_that_just_fit_are_all_written() -> None:
    assert IndexRanges([1, 3, 5]).text(limit=5) == "1,3,5"


@given(st.lists(st.integers(0, 400)), st.integers(24, 200))
def test_an_index_string_never_exceeds_its_limit_and_loses_none(indexes: list[int], limit: int) -> None:
    ranges = IndexRanges(indexes)
    text = ranges.text(limit)
    listed, _, rest = text.partition(" +")

    assert len(text) <= limit
    assert len(ranges) == len(set(indexes))
    counted = sum(_length(run) for run in listed.split(",") if run)
    assert counted + int(rest.removesuffix(" more") or 0) == len(ranges)


@given(st.lists(st.integers(0, 100)))
def test_ranges_are_what_a_set_would_be(indexes: list[int]) -> None:
    listed = IndexRanges(indexes).text()
    found = [number for run in listed.split(",") if run for number in _numbers(run)]
    assert found == sorted(set(indexes))


def _numbers(run: str) -> range:
    first, _, last = run.partition("-")
    return range(int(first), int(last or first) + 1)


def _length(run: str) -> int:
    return len(_numbers(run))
