"""The timeline of a job is one, however many coordinators it had."""

import json

import pytest

from leasegrid.rules.timelines import Points, before, joined
from tasklet_runner.wire.jobs import TOLD_POINTS

PAST = ((0, 0, 0, 0), (100, 4, 4, 0), (900, 4, 4, 30))
PRESENT = ((0, 0, 0, 30), (50, 2, 2, 30), (400, 0, 0, 40))


@pytest.mark.parametrize(
    ("past", "began", "whole"),
    [
        pytest.param((), 5000, PRESENT, id="the first coordinator's is as it tells it"),
        pytest.param(
            PAST,
            3000,
            (*PAST, (3000, 0, 0, 30), (3000, 0, 0, 30), (3050, 2, 2, 30), (3400, 0, 0, 40)),
            id="a later one's stands behind it, and nothing was leased between them",
        ),
        pytest.param(
            PAST,
            10,
            (*PAST, (900, 0, 0, 30), (900, 0, 0, 30), (950, 2, 2, 30), (1300, 0, 0, 40)),
            id="time never runs backwards",
        ),
    ],
)
def test_timelines_are_joined(past: Points, began: int, whole: Points) -> None:
    assert joined(past, began, PRESENT) == whole


@pytest.mark.parametrize(
    ("began", "past"),
    [
        pytest.param(None, PAST, id="all of it is of earlier ones while the present one has told nothing"),
        pytest.param(0, (), id="nothing is, where the present one is the first"),
        pytest.param(900, PAST[:2], id="what was told before it began is"),
        pytest.param(10_000, PAST, id="all is that was told before it began"),
    ],
)
def test_of_a_timeline_that_was_written_down_the_part_of_earlier_coordinators_is_known_again(
    began: int | None, past: Points
) -> None:
    assert before(PAST, began) == past


@pytest.mark.parametrize("count", [1, TOLD_POINTS - 1, TOLD_POINTS, TOLD_POINTS + 1, 2 * TOLD_POINTS, 5000])
def test_a_timeline_of_any_length_leaves_room_in_a_status(count: int) -> None:
    a_year, many = 365 * 86_400_000, 10_000_000
    found = joined((), 0, tuple((a_year + number, 10_000, 100_000, many) for number in range(count)))
    keys = ("afterMilliseconds", "leased", "running", "done")
    written = json.dumps([dict(zip(keys, point, strict=True)) for point in found], separators=(",", ":"))
    assert len(written) <= 28 * 1024
    assert len(found) >= min(count, TOLD_POINTS // 2), "and no more is lost than must be"


def test_a_long_one_keeps_its_first_and_its_last_point() -> None:
    points = tuple((number, 1, 1, number) for number in range(3 * TOLD_POINTS))
    found = joined(points, points[-1][0], points)
    assert len(found) <= TOLD_POINTS
    assert (found[0], found[-1][3]) == (points[0], points[-1][3])
