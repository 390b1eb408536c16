"""How leases live on and how they end, by their objects: renewals, parents, revocations, deadlines, lost members."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.wire.member import MemberState, StateReport
from tests.integration.control_plane import ControlPlane
from tests.integration.lease_house import HOLDER_KEY, Court, clear, court, lease_house
from tests.integration.operator_rig import OperatorRig


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    """One operator for all tests of this file."""
    with lease_house(controlled, tmp_path_factory.mktemp("leases")) as rig:
        yield rig


@pytest.fixture
def house(shared: OperatorRig) -> Iterator[OperatorRig]:
    """The same, without leases and pools of the test before."""
    yield shared
    clear(shared)


def state_of(rig: OperatorRig, lease: str) -> StateReport:
    """What the first member of a lease says of itself."""
    endpoint = rig.status("leases", lease)["members"][0]["endpoint"]

    async def ask() -> StateReport:
        async with MemberClient(endpoint) as client:
            return await client.state()

    return asyncio.run(ask())


def expires(rig: OperatorRig, lease: str) -> datetime:
    """By its status."""
    return datetime.fromisoformat(rig.status("leases", lease)["expireTime"])


def processed(pool: Court) -> None:
    """Return when the operator has seen all that was done to leases before: it serves a newer one."""
    pool.rig.lease("marker", poolRefs=[{"name": "none-such"}])
    pool.rig.until_said("marker", "Released", "PoolNotFound")
    pool.rig.delete("leases", "marker")


def test_any_change_of_the_renew_time_renews_object_and_member(house: OperatorRig) -> None:
    pool = court(house, 1)
    lease = pool.bound("lease", ttlSeconds=60)
    before = expires(house, lease)
    assert "renewTime" not in house.status("leases", lease)
    # Never read as a clock: a day of long ago renews as well as any.
    for turn, text in enumerate(("2001-01-01T00:00:00.000000Z", "2000-01-01T00:00:00.000000Z"), start=1):
        house.change("leases", lease, {"renewTime": text})
        after = house.wait(lambda: expires(house, lease), before.__lt__, f"renewal {turn}")
        assert datetime.fromisoformat(house.status("leases", lease)["renewTime"]) < after
        before = after
    assert pool.capability(lease).deadline == pytest.approx(before.timestamp(), abs=0.01)
    left = state_of(house, lease).seconds_left
    now = house.status("leases", lease)
    assert left > (before - datetime.fromisoformat(now["acquireTime"])).total_seconds() - 60


@pytest.mark.unhappy("a renewal after the end changes nothing")
def test_a_lease_that_has_ended_is_not_renewed(house: OperatorRig) -> None:
    pool = court(house, 1)
    lease = pool.lease("lease", ttlSeconds=1)
    pool.released(lease, "Expired")
    status = house.status("leases", lease)
    house.change("leases", lease, {"renewTime": "2026-01-01T00:00:00.000000Z"})
    processed(pool)
    assert house.status("leases", lease) == status
    assert "members" not in status
    pool.until_warm(1)


def test_no_renewal_passes_the_longest_life(house: OperatorRig) -> None:
    pool = court(house, 1)
    lease = pool.bound("lease", ttlSeconds=6, maxLifetimeSeconds=7)
    acquired = datetime.fromisoformat(house.status("leases", lease)["acquireTime"])
    before = expires(house, lease)
    house.change("leases", lease, {"renewTime": "2026-01-01T00:00:00.000000Z"})
    after = house.wait(lambda: house.status("leases", lease), lambda said: "renewTime" in said, "it was renewed")
    if "expireTime" in after:
        assert before < datetime.fromisoformat(after["expireTime"])
        assert (datetime.fromisoformat(after["expireTime"]) - acquired).total_seconds() <= 7.0
    pool.released(lease, "Expired")
    (ended,) = [one for one in pool.records_of(lease) if one.event == "ended"]
    # The member's own word: it was held for as long as it could be, and no longer.
    assert ended.reason in ("LeaseExpired", "Released")


def test_many_leases_expire_by_themselves_and_leave_their_members_free(house: OperatorRig) -> None:
    pool = court(house, 20)
    names = [pool.lease(f"n{number}", ttlSeconds=2) for number in range(20)]
    for name in names:
        assert pool.released(name, "Expired")["members"] == 1
    house.until_free()
    pool.until_warm(20)


def test_a_child_is_released_with_its_parent_and_not_bound_without_one(house: OperatorRig) -> None:
    pool = court(house, 4)
    parent = pool.bound("parent")
    child = pool.bound("child", parentRef={"name": parent})
    grandchild = pool.bound("grandchild", parentRef={"name": child})
    waiting = pool.lease("waiting", count=4, minCount=4, parentRef={"name": parent})
    house.wait(lambda: house.status("leases", waiting).get("queuePosition"), lambda place: place == 1, "it waits")
    house.change("leases", parent, {"revoke": {"graceSeconds": 0}})
    assert pool.released(parent, "Revoked")["members"] == 1
    for name in (child, grandchild):
        assert pool.released(name, "ParentReleased")["members"] == 1
    assert pool.released(waiting, "ParentReleased")["members"] == 0
    pool.until_warm(4)

    late = pool.lease("late", parentRef={"name": parent})
    assert "has ended" in house.until_said(late, "Released", "ParentReleased")
    lost = pool.lease("lost", parentRef={"name": "nobody"})
    assert "nobody, is not there" in house.until_said(lost, "Released", "ParentReleased")


def test_a_child_is_released_when_the_object_of_its_parent_is_deleted(house: OperatorRig) -> None:
    pool = court(house, 2)
    parent = pool.bound("parent")
    child = pool.bound("child", parentRef={"name": parent})
    house.delete("leases", parent)
    assert pool.released(child, "ParentReleased")["members"] == 1
    pool.until_warm(2)


@pytest.mark.unhappy("a parent that turns out to be refused takes its child along")
def test_a_child_does_not_outlive_a_parent_that_is_refused(house: OperatorRig) -> None:
    pool = court(house, 1)
    parent = pool.lease("parent", poolRefs=[{"name": "not-there"}])
    child = pool.lease("child", parentRef={"name": parent})
    pool.released(parent, "PoolNotFound")
    pool.released(child, "ParentReleased")
    pool.until_warm(1)


def test_a_revocation_leaves_its_grace_and_a_receipt_on_the_object(house: OperatorRig) -> None:
    pool = court(house, 2)
    lease = pool.bound("lease", count=2, minCount=2)
    house.change("leases", lease, {"revoke": {"graceSeconds": 3600}})
    processed(pool)
    assert len(pool.held_by(lease)) == 2
    assert house.condition(lease, "Bound")["status"] == "True"

    house.change("leases", lease, {"revoke": {"graceSeconds": 0}})
    receipt = pool.released(lease, "Revoked")
    assert (receipt["members"], receipt["volumes"], receipt["tasklets"], receipt["unverified"]) == (2, 0, 0, [])
    status = house.status("leases", lease)
    assert "members" not in status
    assert "capabilities" not in status
    assert house.condition(lease, "Bound") == {
        **house.condition(lease, "Bound"), "status": "False", "reason": "Revoked"
    }  # fmt: skip
    pool.until_warm(2)


def test_a_deleted_lease_frees_its_members_at_once_and_an_event_is_its_receipt(house: OperatorRig) -> None:
    pool = court(house, 1)
    lease = pool.bound("lease")
    uid = pool.uid(lease)
    house.delete("leases", lease)
    pool.until_warm(1)

    def told() -> list[str]:
        events = [one for one in house.all("events") if one["involvedObject"]["name"] == pool.pool]
        return [one["message"] for one in events if one["reason"] == "MemberReleased" and uid in one["message"]]

    (message,) = house.wait(told, len, "an event on the pool tells of the release")
    assert f"the lease {lease} ({uid}) has ended: its object was deleted; members: 1, tasklets: 0" in message


def test_the_object_of_a_lease_goes_some_time_after_its_end(house: OperatorRig) -> None:
    pool = court(house, 1)
    soon = pool.lease("soon", ttlSecondsAfterReleased=0, ttlSeconds=1)
    house.until_gone("leases", soon)
    later = pool.lease("later", ttlSeconds=1)
    pool.released(later, "Expired")
    # It stays for five minutes, unless somebody changes their mind.
    assert house.get("leases", later)


@pytest.mark.unhappy("all members of a lease are gone: it says so")
def test_a_lease_that_has_lost_all_its_members_says_so(house: OperatorRig) -> None:
    pool = court(house, 1)
    lease = pool.bound("lease")
    (member,) = house.epochs(lease)
    assert house.stand_ins is not None
    house.stand_ins.say("kill", member)
    said = house.wait(lambda: house.condition(lease, "Bound"), lambda one: one["status"] == "False", "it says so")
    assert (said["reason"], said["message"]) == ("MembersLost", "0 of 1 members are bound")
    house.change("leases", lease, {"revoke": {"graceSeconds": 0}})
    receipt = pool.released(lease, "Revoked")
    # It is named, as it was a member, and nothing of it is left to be seen.
    assert (receipt["members"], receipt["unverified"]) == (1, [])
    pool.until_warm(1)


@pytest.mark.unhappy("a member killed, another evicted, while leased: an elastic lease gets others")
def test_an_elastic_lease_replaces_members_that_are_killed_or_evicted(house: OperatorRig) -> None:
    pool = court(house, 2)
    lease = pool.bound("lease", count=2, minCount=2, elastic=True)
    assert house.stand_ins is not None
    for word in ("kill", "evict"):
        before = house.epochs(lease)
        victim = min(before)
        house.stand_ins.say(word, victim)

        def replaced(gone: str = victim) -> bool:
            now = house.epochs(lease)
            return gone not in now and len(now) == 2

        house.wait(replaced, lambda seen: seen, f"another member after {word}")
        house.wait(lambda: len(pool.capability(lease).members), lambda seen: seen == 2, "it is in the capability")
    house.change("leases", lease, {"revoke": {"graceSeconds": 0}})
    assert pool.released(lease, "Revoked")["members"] == 4


@pytest.mark.unhappy("a pool shrinks while leases are bound: the member decides who wins")
def test_retiring_members_race_with_binds_and_the_member_decides(house: OperatorRig) -> None:
    pool = court(house, 8, maxSize=8)
    for turn in range(3):
        house.change("instancepools", pool.pool, {"targetSize": 1})
        names = [pool.lease(f"r{turn}-{number}") for number in range(6)]
        house.change("instancepools", pool.pool, {"targetSize": 8})
        house.until_bound(*names)
        for name in names:
            assert len(pool.held_by(name)) == 1
            house.delete("leases", name)
    house.check_none_bound_twice()


def test_the_same_facts_twice_are_written_once(house: OperatorRig) -> None:
    pool = court(house, 2)
    lease = pool.bound("lease")
    held = pool.bound("held")
    waits = pool.lease("waits")
    house.wait(lambda: house.status("leases", waits).get("queuePosition"), lambda place: place == 1, "it waits")
    ended = pool.lease("ended", onEmpty="Fail")
    pool.released(ended, "PoolEmpty")
    names = (lease, held, waits, ended)
    for name in names:
        house.plane.kubectl("annotate", "lglease", name, "tests/touched=yes", "-n", house.namespace)
    versions = {name: house.get("leases", name)["metadata"]["resourceVersion"] for name in names}
    processed(pool)
    assert {name: house.get("leases", name)["metadata"]["resourceVersion"] for name in names} == versions


def test_a_member_is_ready_again_after_its_lease_and_its_epoch_rises(house: OperatorRig) -> None:
    pool = court(house, 1)
    epochs: list[int] = []
    for turn in range(3):
        lease = pool.bound(f"turn{turn}", holderKey=HOLDER_KEY)
        assert state_of(house, lease).state is MemberState.CLAIMED
        epochs += house.epochs(lease).values()
        house.delete("leases", lease)
        pool.until_warm(1)
    assert epochs == [1, 2, 3]
