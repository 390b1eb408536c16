"""Steps of wall clocks, the fabric's or the member's, move no deadline."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.leasing.signing import LeaseTerm, Signer, SteadyClock
from tasklet_runner.member.decisions import Admitted, Bound, End
from tasklet_runner.member.states import Identity, MemberStates
from tasklet_runner.wire.signed import verify
from tasklet_runner.wire.statements import Bind, Capability, MemberGrant

DAY = 86400.0
GRANT = MemberGrant("m", "i", 1)


class Fabric:
    """A signer beside a ready member; `bind` and `renew` deliver what is signed, at a monotonic instant."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.clock = SteadyClock()
        self.signer = Signer(self.key, self.clock)
        self.member = MemberStates(Identity("m", "i", 1, 1))
        self.member.warmed()

    def bind(self, seconds: float, at: float) -> None:
        statement = self.signer.bind("lease", "holder", GRANT, self.clock.now() + seconds)
        assert isinstance(self.member.bind(verify(statement, Bind, self.key.public_key()), at), Bound)

    def renew(self, seconds: float, at: float) -> float:
        """The seconds that are left after it."""
        deadline = self.clock.now() + seconds
        term = LeaseTerm(deadline, 60, deadline + DAY)
        (statement,) = self.signer.capabilities("lease", "holder", [GRANT], term)
        admitted = self.member.admit(verify(statement, Capability, self.key.public_key()), at)
        assert isinstance(admitted, Admitted)
        return admitted.seconds_left


@pytest.mark.unhappy("the wall clock steps by a day, forth or back, between bind and renewal")
@pytest.mark.parametrize("step", [DAY, -DAY], ids=["forth", "back"])
def test_a_step_of_the_operators_clock_moves_no_deadline(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    fabric = Fabric()
    fabric.bind(60, at=1000.0)
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + step)
    assert fabric.renew(60, at=1000.0) == pytest.approx(60, abs=5)
    assert fabric.member.tick(1050.0) is None
    assert fabric.member.tick(1070.0) is End.LEASE_EXPIRED


@pytest.mark.unhappy("the next operator's clock is a day off: a bind of its own is whole")
@pytest.mark.parametrize("step", [DAY, -DAY], ids=["a day ahead", "a day behind"])
def test_an_operator_whose_clock_is_another_binds_for_as_long_as_it_says(
    monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + step)
    fabric = Fabric()
    fabric.bind(60, at=500.0)
    assert fabric.member.report(500.0).seconds_left == pytest.approx(60, abs=1)


@pytest.mark.unhappy("a capability that is shown again, or an older one")
def test_a_capability_that_is_shown_again_extends_nothing() -> None:
    fabric = Fabric()
    fabric.bind(60, at=0.0)
    later = fabric.renew(60, at=0.0)
    assert fabric.renew(10, at=0.0) == pytest.approx(later, abs=1)
    assert fabric.renew(60, at=30.0) == pytest.approx(later - 30, abs=5)


@pytest.mark.unhappy("an operator is started anew after its clock has stepped: it renews leases of the one before")
@pytest.mark.parametrize("step", [DAY, -DAY, 5.0, -5.0], ids=["a day ahead", "a day behind", "ahead", "behind"])
def test_a_successor_goes_on_with_the_clock_by_which_leases_were_bound(
    monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    fabric, true = Fabric(), time.time
    fabric.bind(60, at=1000.0)
    fabric.renew(60, at=1000.0)
    monkeypatch.setattr(time, "time", lambda: true() + step)
    fabric.clock = SteadyClock()
    fabric.signer = Signer(fabric.key, fabric.clock)
    report = fabric.member.report(1030.0)
    assert fabric.clock.follow(report.signers_clock, time.monotonic())
    assert fabric.renew(60, at=1030.0) == pytest.approx(60, abs=5)


def test_a_clock_that_is_the_same_but_for_the_answers_way_is_left_alone() -> None:
    clock = SteadyClock()
    before = clock.now()
    assert not clock.follow(before - 0.5, time.monotonic())
    assert clock.now() == pytest.approx(before, abs=0.4)
