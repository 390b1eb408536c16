"""Rooms and purses: bounded, fair, and empty again afterwards."""

import pytest

from leasegrid_operator.broker.lanes import Lane, Purses
from leasegrid_operator.broker.limits import Room
from leasegrid_operator.broker.rates import Rate
from tasklet_runner.wire.errors import OverloadedError


@pytest.mark.unhappy("one caller with too many requests at once: refused, others are let in")
def test_one_caller_fills_its_share_and_others_still_come_in() -> None:
    lane = Lane("claims", Room(total=3, of_one=2))
    with lane.enter("a"), lane.enter("a"):
        with pytest.raises(OverloadedError, match="a has 2 claims at once") as refused, lane.enter("a"):
            pass
        assert refused.value.retry_after > 0
        with lane.enter("b"), pytest.raises(OverloadedError, match="as many as it takes"), lane.enter("c"):
            pass
    assert lane.total == 0
    with lane.enter("a"), lane.enter("a"):
        assert lane.total == 2


def test_a_place_is_free_again_after_a_failure() -> None:
    lane = Lane("claims", Room(1, 1))
    with pytest.raises(ValueError, match="broken"), lane.enter("a"):
        raise ValueError("broken")
    with lane.enter("a"):
        assert lane.total == 1


@pytest.mark.unhappy("a caller that asks too often: refused with the seconds to wait")
def test_a_caller_that_is_too_quick_hears_when_to_come_again() -> None:
    purses = Purses(Rate(per_second=2.0, burst=1.0), most=2)
    purses.charge("a", 0.0)
    with pytest.raises(OverloadedError, match="more than 2 times a second") as refused:
        purses.charge("a", 0.0)
    assert refused.value.retry_after == pytest.approx(0.5)
    purses.charge("b", 0.0)
    purses.charge("a", 0.5)


def test_callers_beyond_the_bound_are_forgotten_the_longest_silent_first() -> None:
    purses = Purses(Rate(per_second=0.001, burst=1.0), most=2)
    for caller in ("a", "b", "c"):
        purses.charge(caller, 0.0)
    purses.charge("a", 0.0)
    with pytest.raises(OverloadedError):
        purses.charge("c", 0.0)
