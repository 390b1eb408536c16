"""What becomes of members that are bound, of leases that were not kept for a while."""

import pytest

from leasegrid.rules.reasons import LeaseReason
from leasegrid_operator.leases.adoption import STRAY_SECONDS, Fate, Stray, ended_while_away, fate
from tasklet_runner.wire.member import MemberState, StateReport


def stray(*, known: bool = False, missing: int = 0, listed: bool = False, absent: bool = False) -> Stray:
    return Stray(known, missing, listed, since=100.0, absent=absent)


@pytest.mark.parametrize(
    ("seen", "seconds", "expected"),
    [
        pytest.param(stray(known=True, missing=1), 0, Fate.ADOPT, id="of a lease that lacks one it is adopted"),
        pytest.param(stray(known=True, listed=True), 0, Fate.ADOPT, id="one that the status names is adopted"),
        pytest.param(stray(known=True), 0, Fate.RELEASE, id="of a lease that is complete it is released"),
        pytest.param(stray(), 0, Fate.WAIT, id="an object that is not seen yet may appear"),
        pytest.param(stray(), STRAY_SECONDS, Fate.LOOK, id="after a while somebody looks"),
        pytest.param(
            stray(absent=True), 0, Fate.RELEASE, id="of a lease that a live read does not show it is released"
        ),
        pytest.param(
            stray(known=True, listed=True, absent=True), 0, Fate.ADOPT, id="a lease that is known is not called absent"
        ),
    ],
)
def test_what_is_done_about_a_member_without_a_known_claim(seen: Stray, seconds: float, expected: Fate) -> None:
    assert fate(seen, 100.0 + seconds) is expected


def report(epoch: int, state: MemberState, reason: str = "") -> StateReport:
    return StateReport(member="m", incarnation="i", epoch=epoch, state=state, slots=1, tasklet_memory=1, reason=reason)


FREED = report(3, MemberState.READY, "Released")
EXPIRED = report(3, MemberState.READY, "LeaseExpired")
HELD = report(3, MemberState.CLAIMED)
MOVED_ON = report(5, MemberState.CLAIMED)


@pytest.mark.parametrize(
    ("listed", "said", "expected"),
    [
        pytest.param({"m": 3}, {"m": FREED}, LeaseReason.FINISHED, id="its holder gave its only member back"),
        pytest.param({"m": 3}, {"m": EXPIRED}, LeaseReason.EXPIRED, id="its deadline passed"),
        pytest.param({"m": 3, "n": 3}, {"m": EXPIRED, "n": FREED}, LeaseReason.FINISHED, id="given back, one too late"),
        pytest.param(
            {"m": 3, "n": 3}, {"m": EXPIRED, "n": MOVED_ON}, LeaseReason.EXPIRED, id="one is another's by now"
        ),
        pytest.param({"m": 3, "n": 3}, {"m": FREED, "n": HELD}, None, id="one is still held"),
        pytest.param({"m": 3, "n": 3}, {"m": FREED}, None, id="one did not answer: nobody knows"),
        pytest.param({"m": 3}, {"m": MOVED_ON}, None, id="nobody says how it ended"),
        pytest.param({"m": 3}, {"m": report(2, MemberState.READY, "Released")}, None, id="an older word says nothing"),
        pytest.param({"m": 3}, {"m": report(3, MemberState.READY, "Drained")}, None, id="drained: it may get another"),
        pytest.param({}, {"m": FREED}, None, id="a lease without members has not lost any"),
    ],
)
def test_how_a_lease_ended_that_nobody_kept(
    listed: dict[str, int], said: dict[str, StateReport], expected: LeaseReason | None
) -> None:
    assert ended_while_away(listed, said) is expected
