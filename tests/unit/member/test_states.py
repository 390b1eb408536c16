"""The member's own decisions, as tables: each id is the promise."""

from collections.abc import Callable

import pytest

from tasklet_runner.member.decisions import (
    Admitted,
    Bound,
    Confirmed,
    End,
    Refusal,
    Refused,
    Released,
    Retired,
    Stale,
)
from tasklet_runner.member.states import PROVISIONAL_SECONDS, Identity, MemberStates
from tasklet_runner.wire.member import MemberState, Role
from tasklet_runner.wire.statements import Bind, Capability, Confirm, MemberGrant, Release, Retire

SIGNER = 1_700_000_000.0
"""The signer's clock at the bind; the member's monotonic clock says 1000 then."""
NOW = 1000.0

Arrange = Callable[[MemberStates], object]


def member(*, replace: bool = False) -> MemberStates:
    return MemberStates(Identity("m0", "inc", slots=2, tasklet_memory=64, replace_after_use=replace))


def bind(**changes: object) -> Bind:
    words = {"lease_uid": "L", "holder_key": "K", "member": "m0", "incarnation": "inc", "epoch": 1}
    times = {"issued_at": SIGNER, "deadline": SIGNER + 60}
    return Bind(**(words | times | changes))  # type: ignore[arg-type]  # the changes are of the fields' types


def confirm(**changes: object) -> Confirm:
    words = {"lease_uid": "L", "member": "m0", "incarnation": "inc", "epoch": 1}
    return Confirm(**(words | changes))  # type: ignore[arg-type]  # as above


def release(**changes: object) -> Release:
    words = {"lease_uid": "L", "member": "m0", "incarnation": "inc", "epoch": 1}
    return Release(**(words | changes))  # type: ignore[arg-type]  # as above


def retire(**changes: object) -> Retire:
    words = {"member": "m0", "incarnation": "inc", "epoch": 0}
    return Retire(**(words | changes))  # type: ignore[arg-type]  # as above


def capability(*grants: MemberGrant, **changes: object) -> Capability:
    words = {"lease_uid": "L", "holder_key": "K", "members": grants or (MemberGrant("m0", "inc", 1),)}
    times = {"issued_at": SIGNER, "deadline": SIGNER + 60, "expires_at": SIGNER + 50}
    return Capability(**(words | times | changes))  # type: ignore[arg-type]  # as above


def ready(states: MemberStates) -> None:
    states.warmed()


def claimed(states: MemberStates) -> None:
    states.warmed()
    assert isinstance(states.bind(bind(), NOW), Bound)


def confirmed(states: MemberStates) -> None:
    claimed(states)
    assert states.confirm(confirm(), NOW) == Confirmed()


def resetting(states: MemberStates) -> None:
    confirmed(states)
    assert states.release(release(), NOW) == Released(1)


def fenced(states: MemberStates) -> None:
    resetting(states)
    states.reset_finished("a file is left")


def warming(states: MemberStates) -> None:
    assert states.state is MemberState.WARMING


@pytest.mark.parametrize(
    ("arrange", "statement", "now", "code"),
    [
        pytest.param(warming, bind(), NOW, Refusal.NOT_READY, id="a warming member is not ready"),
        pytest.param(ready, bind(member="m1"), NOW, Refusal.CONFLICT, id="a bind for another member is refused"),
        pytest.param(ready, bind(incarnation="x"), NOW, Refusal.FENCED, id="another incarnation is fenced"),
        pytest.param(ready, bind(epoch=0), NOW, Refusal.FENCED, id="a replayed epoch is fenced"),
        pytest.param(ready, bind(epoch=2), NOW, Refusal.CONFLICT, id="an epoch from the future is a conflict"),
        pytest.param(ready, bind(deadline=SIGNER), NOW, Refusal.BAD_REQUEST, id="a deadline must be after iat"),
        pytest.param(claimed, bind(lease_uid="M"), NOW, Refusal.CONFLICT, id="the same epoch for another lease loses"),
        pytest.param(claimed, bind(holder_key="Q"), NOW, Refusal.CONFLICT, id="the same bind for another key loses"),
        pytest.param(claimed, bind(epoch=2), NOW, Refusal.CONFLICT, id="the next epoch loses while it is claimed"),
        pytest.param(claimed, bind(), NOW + 6, Refusal.CONFLICT, id="a claim that is over is not given again"),
        pytest.param(resetting, bind(epoch=2), NOW, Refusal.NOT_READY, id="a member that is reset is not ready"),
        pytest.param(fenced, bind(epoch=2), NOW, Refusal.FENCED, id="a fenced member takes no lease again"),
    ],
)
def test_binds_that_are_refused(arrange: Arrange, statement: Bind, now: float, code: Refusal) -> None:
    states = member()
    arrange(states)
    refused = states.bind(statement, now)
    assert isinstance(refused, Refused)
    assert refused.code is code
    assert refused.remedy
    assert "L" not in refused.cause.split()


def test_the_same_bind_again_gets_the_same_answer_and_moves_nothing() -> None:
    states = member()
    ready(states)
    first, again = states.bind(bind(), NOW), states.bind(bind(), NOW + 3)
    assert isinstance(first, Bound)
    assert isinstance(again, Bound)
    assert (first.reply, first.repeated, again.repeated) == (again.reply, False, True)
    assert states.report(NOW).seconds_left == 60
    assert states.next_tick() == NOW + PROVISIONAL_SECONDS


@pytest.mark.parametrize(
    ("arrange", "statement", "now", "expected"),
    [
        pytest.param(claimed, confirm(), NOW + 4, Confirmed(), id="in time it stands"),
        pytest.param(confirmed, confirm(), NOW, Confirmed(), id="twice is once"),
        pytest.param(claimed, confirm(), NOW + 5, Refusal.LEASE_EXPIRED, id="after five seconds it is too late"),
        pytest.param(ready, confirm(epoch=0), NOW, Refusal.LEASE_EXPIRED, id="an unbound member has no lease"),
        pytest.param(claimed, confirm(lease_uid="M"), NOW, Refusal.CONFLICT, id="another lease is a conflict"),
        pytest.param(claimed, confirm(epoch=0), NOW, Refusal.FENCED, id="an older epoch is fenced"),
        pytest.param(claimed, confirm(incarnation="x"), NOW, Refusal.FENCED, id="another incarnation is fenced"),
        pytest.param(claimed, confirm(member="x"), NOW, Refusal.CONFLICT, id="another member is a conflict"),
    ],
)
def test_confirming(arrange: Arrange, statement: Confirm, now: float, expected: Confirmed | Refusal) -> None:
    states = member()
    arrange(states)
    answer = states.confirm(statement, now)
    assert (answer.code if isinstance(answer, Refused) else answer) == expected


@pytest.mark.parametrize(
    ("shown", "now", "expected"),
    [
        pytest.param(capability(), NOW + 1, Admitted(59), id="the holder's own is admitted"),
        pytest.param(
            capability(deadline=SIGNER + 90), NOW + 1, Admitted(89, extended=True), id="a later deadline extends"
        ),
        pytest.param(capability(deadline=SIGNER + 9), NOW + 1, Admitted(59), id="an earlier deadline changes nothing"),
        pytest.param(
            capability(MemberGrant("m0", "old", 9), MemberGrant("m0", "inc", 1)),
            NOW,
            Admitted(60),
            id="an entry of an older process beside its own does no harm",
        ),
        pytest.param(capability(), NOW + 50, Refusal.UNAUTHENTICATED, id="past exp it is not presented any more"),
        pytest.param(
            capability(expires_at=SIGNER + 301), NOW, Refusal.BAD_REQUEST, id="exp is at most 300 s after iat"
        ),
        pytest.param(capability(holder_key="Q"), NOW, Refusal.UNAUTHENTICATED, id="another holder's key is refused"),
        pytest.param(capability(lease_uid="M"), NOW, Refusal.CONFLICT, id="another lease is a conflict"),
        pytest.param(capability(MemberGrant("m0", "inc", 0)), NOW, Refusal.FENCED, id="an older epoch is fenced"),
        pytest.param(capability(MemberGrant("m0", "inc", 2)), NOW, Refusal.CONFLICT, id="a future epoch is a conflict"),
        pytest.param(capability(MemberGrant("m0", "x", 1)), NOW, Refusal.FENCED, id="another incarnation is fenced"),
        pytest.param(
            capability(MemberGrant("m1", "inc", 1)),
            NOW,
            Refusal.UNAUTHENTICATED,
            id="one that does not list it is none",
        ),
        pytest.param(
            capability(issued_at=SIGNER + 305, deadline=SIGNER + 400, expires_at=SIGNER + 350),
            NOW + 5,
            Admitted(395, extended=True),
            id="a signer whose clock is five minutes ahead is believed",
        ),
        pytest.param(
            capability(issued_at=SIGNER + 306, deadline=SIGNER + 400, expires_at=SIGNER + 350),
            NOW + 5,
            Refusal.UNAUTHENTICATED,
            id="one that goes by another clock than the bind's does not make a lease last for hours",
        ),
        pytest.param(capability(), NOW + 60, Refusal.LEASE_EXPIRED, id="at the deadline the lease is over"),
    ],
)
def test_admitting_a_holder(shown: Capability, now: float, expected: Admitted | Refusal) -> None:
    states = member()
    confirmed(states)
    answer = states.admit(shown, now)
    assert (answer.code if isinstance(answer, Refused) else answer) == expected


def test_the_holders_first_challenge_confirms_a_provisional_bind() -> None:
    states = member()
    claimed(states)
    assert isinstance(states.admit(capability(), NOW + 4), Admitted)
    assert states.tick(NOW + 6) is None
    assert states.report(NOW + 6).confirmed


@pytest.mark.parametrize("step", [-1e6, 0.0, 1e6], ids=["set back", "kept", "set forward"])
def test_the_signers_clock_against_ours_changes_nothing(step: float) -> None:
    states = member()
    ready(states)
    states.bind(bind(issued_at=SIGNER + step, deadline=SIGNER + step + 60), NOW)
    times = {"issued_at": SIGNER + step, "deadline": SIGNER + step + 80, "expires_at": SIGNER + step + 50}
    assert states.admit(capability(**times), NOW + 2) == Admitted(78, extended=True)


@pytest.mark.parametrize(
    ("arrange", "statement", "expected"),
    [
        pytest.param(confirmed, capability(), Released(1), id="the capability releases"),
        pytest.param(confirmed, capability(expires_at=0.0), Released(1), id="an expired capability releases too"),
        pytest.param(confirmed, release(), Released(1), id="the fabric's own release releases"),
        pytest.param(claimed, release(), Released(1), id="a provisional bind is released as well"),
        pytest.param(resetting, release(), Stale(1), id="twice is a successful no-op"),
        pytest.param(confirmed, release(epoch=0), Stale(0), id="an older epoch is a successful no-op"),
        pytest.param(
            confirmed, release(incarnation="x"), Stale(1, other_process=True), id="another incarnation is a no-op, too"
        ),
        pytest.param(confirmed, release(epoch=2), Refusal.CONFLICT, id="a future epoch is refused"),
        pytest.param(confirmed, release(lease_uid="M"), Refusal.CONFLICT, id="another lease releases nothing"),
        pytest.param(confirmed, release(member="m1"), Refusal.CONFLICT, id="another member's release is refused"),
        pytest.param(
            confirmed,
            capability(MemberGrant("m1", "x", 1)),
            Refusal.UNAUTHENTICATED,
            id="an unlisted member is refused",
        ),
    ],
)
def test_releasing(arrange: Arrange, statement: Capability | Release, expected: Released | Stale | Refusal) -> None:
    states = member()
    arrange(states)
    answer = states.release(statement, NOW + 1)
    assert (answer.code if isinstance(answer, Refused) else answer) == expected


@pytest.mark.parametrize(
    ("arrange", "statement", "expected"),
    [
        pytest.param(ready, retire(), Retired(), id="an idle member ends"),
        pytest.param(warming, retire(), Retired(), id="a warming member ends"),
        pytest.param(fenced, retire(epoch=1), Retired(), id="a fenced member ends"),
        pytest.param(claimed, retire(epoch=1), Refusal.CONFLICT, id="a claimed member does not"),
        pytest.param(claimed, retire(), Refusal.FENCED, id="an order from before the claim is fenced"),
        pytest.param(resetting, retire(epoch=1), Refusal.NOT_READY, id="a member that is reset is asked again later"),
        pytest.param(ready, retire(incarnation="x"), Refusal.FENCED, id="another incarnation is fenced"),
    ],
)
def test_retiring(arrange: Arrange, statement: Retire, expected: Retired | Refusal) -> None:
    states = member()
    arrange(states)
    answer = states.retire(statement)
    assert (answer.code if isinstance(answer, Refused) else answer) == expected
    assert (states.state is MemberState.TERMINATED) == isinstance(answer, Retired)


@pytest.mark.parametrize(
    ("arrange", "now", "expected"),
    [
        pytest.param(ready, NOW, None, id="nothing ends while nobody holds it"),
        pytest.param(confirmed, NOW + 59, None, id="nothing ends before the deadline"),
        pytest.param(confirmed, NOW + 60, End.LEASE_EXPIRED, id="at the deadline it ends"),
        pytest.param(claimed, NOW + 4.9, None, id="a provisional bind has five seconds"),
        pytest.param(claimed, NOW + 5, End.UNCONFIRMED, id="and is undone then"),
    ],
)
def test_ticking(arrange: Arrange, now: float, expected: End | None) -> None:
    states = member()
    arrange(states)
    assert states.tick(now) == expected
    assert (states.state is MemberState.RESETTING) == (expected is not None)


@pytest.mark.parametrize(
    ("replace", "taint", "orphan", "unclean", "expected"),
    [
        pytest.param(False, False, False, "", MemberState.READY, id="a clean reset is ready again"),
        pytest.param(True, False, False, "", MemberState.TERMINATED, id="a member of single use ends"),
        pytest.param(False, True, False, "", MemberState.TERMINATED, id="a tainted member ends"),
        pytest.param(False, False, True, "", MemberState.TERMINATED, id="a member on its last lease ends"),
        pytest.param(False, False, False, "a file", MemberState.FENCED, id="what is not proven clean is fenced"),
        pytest.param(False, True, False, "a file", MemberState.FENCED, id="a tainted one, too, which says why"),
        pytest.param(False, False, True, "a file", MemberState.TERMINATED, id="on its last lease nobody is there to"),
    ],
)
def test_after_a_reset(replace: bool, taint: bool, orphan: bool, unclean: str, expected: MemberState) -> None:
    states = member(replace=replace)
    confirmed(states)
    if taint:
        states.taint()
    if orphan:
        assert not states.end_when_free()
    states.revoke(End.DRAINED)
    assert states.reset_finished(unclean) is expected
    assert states.report(NOW).reason == (unclean or "Drained")


def test_an_idle_member_that_is_told_to_end_may_at_once() -> None:
    states = member()
    ready(states)
    states.revoke(End.DRAINED)
    assert states.end_when_free()
    assert states.state is MemberState.TERMINATED


def test_a_report_names_the_lease_and_never_the_holder() -> None:
    states = member()
    ready(states)
    assert states.report(NOW).seconds_left == -1
    assert states.next_tick() is None
    confirmed(states)
    report = states.report(NOW + 70)
    assert (report.lease_uid, report.confirmed, report.seconds_left) == ("L", True, 0)
    assert "K" not in repr(report).split("'")


def test_a_member_on_a_used_volume_begins_at_its_epoch_and_says_its_role() -> None:
    states = MemberStates(Identity("m0", "inc", slots=0, tasklet_memory=0, role=Role.BLOCK))
    states.warmed(epoch=7)
    assert states.report(NOW).role is Role.BLOCK
    assert isinstance(states.bind(bind(epoch=7), NOW), Refused)
    bound = states.bind(bind(epoch=8), NOW)
    assert isinstance(bound, Bound)
    assert (bound.reply.epoch, bound.reply.role) == (8, Role.BLOCK)


def test_a_claim_is_held_until_the_very_instant_of_its_end() -> None:
    states = member()
    assert states.held(NOW) is None
    confirmed(states)
    claim = states.held(NOW + 59.9)
    assert claim is not None
    assert claim.signers_clock(NOW + 30) == SIGNER + 30
    assert states.held(NOW + 60) is None
