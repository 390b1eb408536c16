"""The timeline of a job is one, however many coordinators it had."""

import pytest

from leasegrid.rules.timelines import Points, joined
from tasklet_runner.wire.jobs import MAX_POINTS

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


def test_a_long_one_keeps_its_first_and_its_last_point() -> None:
    points = tuple((number, 1, 1, number) for number in range(3 * MAX_POINTS))
    found = joined(points, points[-1][0], points)
    assert len(found) <= MAX_POINTS
    assert (found[0], found[-1][3]) == (points[0], points[-1][3])
