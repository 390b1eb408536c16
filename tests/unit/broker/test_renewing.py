"""A renewal by the capability alone: to now + ttl, never past the last deadline, never back."""

import pytest
from msgspec.structs import replace

from leasegrid_operator.broker.renewing import renewed, view_of
from tasklet_runner.wire.errors import LeaseEndedError
from tasklet_runner.wire.statements import Capability, MemberGrant

CAPABILITY = Capability(
    lease_uid="u",
    holder_key="k",
    members=(MemberGrant("m", "i", 1),),
    issued_at=1000.0,
    deadline=1060.0,
    expires_at=1300.0,
    ttl_seconds=60,
    last_deadline=1100.0,
)


@pytest.mark.parametrize(
    ("now", "deadline"),
    [
        pytest.param(1010.0, 1070.0, id="to now + ttl"),
        pytest.param(1055.0, 1100.0, id="but not past the last deadline"),
        pytest.param(990.0, 1060.0, id="and not back, by a clock that is behind"),
    ],
)
def test_the_deadline_moves(now: float, deadline: float) -> None:
    capability = renewed(CAPABILITY, now)
    assert capability == replace(CAPABILITY, issued_at=now, expires_at=now + 300, deadline=deadline)


@pytest.mark.unhappy("a renewal after the deadline is refused at every replica")
def test_what_has_ended_is_not_renewed() -> None:
    with pytest.raises(LeaseEndedError, match=r"the lease u ended 1\.0 s ago"):
        renewed(CAPABILITY, 1061.0)


def test_a_capability_that_says_no_terms_is_for_the_leader() -> None:
    assert renewed(replace(CAPABILITY, ttl_seconds=0), 1010.0) is None
    assert renewed(replace(CAPABILITY, last_deadline=0.0), 1010.0) is None


def test_the_view_of_a_replica_that_keeps_no_leases_has_version_0() -> None:
    view = view_of(CAPABILITY, "signed", 1050.0)
    assert (view.uid, view.version, view.capabilities, view.expires_in) == ("u", 0, ("signed",), 10.0)
