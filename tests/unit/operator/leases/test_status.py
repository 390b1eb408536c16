"""What a lease's status says of it while it waits, lives, ends, and after that."""

from typing import Any

from leasegrid.api.lease import LeaseStatus
from leasegrid_operator.leases.status import (
    BoundLease,
    bound_status,
    released_status,
    verified_status,
    waiting_status,
    written_instant,
)
from tasklet_runner.fabric.protocol import LeasedMember, Receipt

NOW = 1767225600.5
INSTANT = "2026-01-01T00:00:00.500000Z"


def member(number: int) -> LeasedMember:
    return LeasedMember(
        name=f"m{number}", endpoint=f"http://10.0.0.{number}:8080", incarnation="i", epoch=number, slots=1,
        tasklet_memory=1,
    )  # fmt: skip


def bound(have: int, wanted: int) -> BoundLease:
    members = [member(number) for number in range(have)]
    return BoundLease(members, {"m0": "node-1"}, ["c"], NOW, None, NOW + 60, wanted)


def said(status: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Conditions by type, as the models read them: status, reason, message."""
    LeaseStatus.model_validate({name: value for name, value in status.items() if value is not None})
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in status["conditions"]}


def test_a_lease_that_waits_says_its_place_and_why() -> None:
    status = waiting_status(2, "position 2 of 3", (), NOW)
    assert status["queuePosition"] == 2
    assert said(status)["Bound"] == ("False", "BehindOthers", "position 2 of 3")
    assert said(waiting_status(1, "first", (), NOW))["Bound"][1] == "HeadOfQueue"


def test_a_lease_whose_members_are_made_has_no_place() -> None:
    status = waiting_status(0, "2 are being made", (), NOW)
    assert status["queuePosition"] is None
    assert said(status)["Bound"] == ("False", "Provisioning", "2 are being made")


def test_a_bound_lease_says_where_its_members_are_and_until_when() -> None:
    status = bound_status(bound(2, 2), (), NOW)
    assert said(status) == {
        "Satisfiable": ("True", "Satisfiable", "there are pools that can serve it"),
        "Bound": ("True", "Bound", "2 of 2 members are bound"),
    }
    assert status["members"][0] == {"name": "m0", "endpoint": "http://10.0.0.0:8080", "node": "node-1", "epoch": 0}
    assert (status["acquireTime"], status["expireTime"]) == (INSTANT, "2026-01-01T00:01:00.500000Z")
    assert (status["renewTime"], status["queuePosition"]) == (None, None)


def test_a_bound_lease_says_whether_it_is_whole() -> None:
    assert said(bound_status(bound(1, 1), (), NOW))["Bound"] == ("True", "Bound", "its member is bound")
    assert said(bound_status(bound(1, 3), (), NOW))["Bound"] == ("True", "Growing", "1 of 3 members are bound")
    assert said(bound_status(bound(0, 3), (), NOW))["Bound"] == ("False", "MembersLost", "0 of 3 members are bound")


def test_an_ended_lease_keeps_its_receipt_and_nothing_that_opens_a_member() -> None:
    receipt = Receipt(lease_uid="u", reason="Finished", members=("a", "b"), tasklets=4, scratch_bytes=5, volume_bytes=6)
    status = released_status(receipt, "given back", (), NOW)
    assert (status["members"], status["capabilities"]) == (None, None)
    assert (status["receipt"]["members"], status["receipt"]["tasklets"], status["receipt"]["bytesWiped"]) == (2, 4, 11)
    assert said(status)["Released"] == ("True", "Finished", "given back")
    assert said(status)["Bound"][:2] == ("False", "Finished")
    assert said(status)["Satisfiable"][0] == "True"


def test_a_lease_that_could_never_be_served_says_so() -> None:
    for reason in ("PoolNotFound", "Unsupported", "Unsatisfiable"):
        status = released_status(Receipt(lease_uid="u", reason=reason, members=()), "why", (), NOW)
        assert said(status)["Satisfiable"] == ("False", reason, "why")


def test_a_transition_keeps_its_instant_until_the_next_one() -> None:
    first = waiting_status(1, "first", (), NOW)["conditions"]
    again = waiting_status(2, "second", first, NOW + 5)["conditions"]
    assert [one["lastTransitionTime"] for one in again] == [INSTANT, INSTANT]
    after = bound_status(bound(1, 1), again, NOW + 9)["conditions"]
    assert {one["type"]: one["lastTransitionTime"] for one in after} == {
        "Satisfiable": INSTANT, "Bound": written_instant(NOW + 9)
    }  # fmt: skip


def test_conditions_of_others_are_left_alone() -> None:
    theirs = {"type": "Approved", "status": "True", "reason": "ByHand", "message": "", "lastTransitionTime": INSTANT}
    assert theirs in bound_status(bound(1, 1), [theirs], NOW)["conditions"]


def test_a_long_message_is_cut_to_what_the_api_takes() -> None:
    assert len(said(waiting_status(1, "x" * 5000, (), NOW))["Bound"][2]) == 1024


def test_what_was_unverified_is_named_and_completed_step_by_step() -> None:
    receipt = Receipt(lease_uid="u", reason="Expired", members=("a", "b"), unverified=("a", "b"))
    words = "not renewed; nobody has seen the end of 2 members or volumes yet: a, b"
    written = released_status(receipt, words, (), NOW)
    assert said(written)["Released"][1] == "Unverified"

    fewer = verified_status(("b",), written["conditions"], NOW + 60)
    assert fewer["receipt"] == {"unverified": ["b"]}
    assert said(fewer)["Released"] == (
        "True", "Unverified", "not renewed; nobody has seen the end of 1 members or volumes yet: b"
    )  # fmt: skip
    done = verified_status((), fewer["conditions"], NOW + 90)
    assert done["receipt"] == {"unverified": []}
    assert said(done)["Released"] == ("True", "Expired", "not renewed")
    assert {one["lastTransitionTime"] for one in done["conditions"]} == {INSTANT}
