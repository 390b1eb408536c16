"""When a lease is renewed, and when it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.plan.renewal import Renewal, RenewalAction, RenewalStep


def fresh(jitter: float = 0.0) -> Renewal:
    return Renewal.start(1000.0, 120.0, 70, jitter)


@pytest.mark.parametrize(
    ("after", "action", "at"),
    [
        pytest.param(0, RenewalAction.WAIT, 1084.0, id="it waits until 70 % have passed"),
        pytest.param(84, RenewalAction.RENEW, 1084.0, id="then it renews"),
        pytest.param(117.9, RenewalAction.RENEW, 1117.9, id="and still does just before the margin"),
        pytest.param(118, RenewalAction.EXPIRED, 1118.0, id="two seconds before the deadline it is lost"),
    ],
)
def test_a_lease_of_two_minutes(after: float, action: RenewalAction, at: float) -> None:
    step = fresh().tick(1000.0 + after)

    assert step.action is action
    assert step.at == pytest.approx(at)


def test_jitter_renews_up_to_a_tenth_earlier() -> None:
    assert fresh(jitter=1.0).tick(1000.0).at == pytest.approx(1000 + 84 * 0.9)


def test_a_renewal_starts_the_count_again() -> None:
    renewed = fresh().failed(1084.0).renewed(1085.0, 120.0)

    assert renewed == Renewal.start(1085.0, 120.0, 70, 0.0)


def test_failed_renewals_are_tried_again_after_growing_pauses() -> None:
    renewal = fresh()
    waits = []
    for _ in range(7):
        renewal = renewal.failed(1090.0)
        waits.append(renewal.tick(1090.0).at - 1090.0)

    assert waits == [0.25, 0.5, 1, 2, 4, 4, 4]


def test_a_pause_never_outlasts_the_lease() -> None:
    late = fresh().failed(1117.9).tick(1117.9)

    assert late == RenewalStep(RenewalAction.WAIT, 1118.0)


@given(st.floats(0.5, 1e6), st.integers(10, 90), st.floats(0, 1, exclude_max=True), st.floats(-1e6, 1e6))
def test_every_lease_is_renewed_before_it_is_lost(ttl: float, percent: int, jitter: float, now: float) -> None:
    renewal = Renewal.start(now, ttl, percent, jitter)

    assert now < renewal.next_at < renewal.lost_at < now + ttl
