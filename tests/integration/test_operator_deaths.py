"""An operator that dies, at any instant: members keep their word, and its successor finds what it left."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from tests.integration.lease_load import Load
from tests.integration.operator_rig import OperatorRig, beside, metrics
from tests.support.cluster.operators import OperatorProcess
from tests.support.cluster.records import holders

KILLS = 20
MEMBERS = 12
USERS = 4
SEED = 20
PATIENCE_SECONDS = 60


def has_ended(lease: dict[str, object]) -> bool:
    status = lease.get("status") or {}
    assert isinstance(status, dict)
    return any(one["type"] == "Released" and one["status"] == "True" for one in status.get("conditions", ()))


def served_by_both(load: Load) -> bool:
    return all(load.outcomes[f"{door} bound"] >= USERS for door in ("object", "broker"))


def kill_and_start(rig: OperatorRig, chance: random.Random) -> float:
    """Kill the operator, mostly while it leads, sometimes while it starts; returns how long the next one may live."""
    early = chance.random() < 0.25
    if not early:
        rig.until_leads("a")
    rig.replicas["a"].kill()
    rig.start("a", ready=False)
    return chance.uniform(0.2, 2.5)


@pytest.mark.timeout(240)
@pytest.mark.unhappy("operator killed at random under load 20 times: none claimed twice, none leaked")
def test_an_operator_killed_twenty_times_under_load_claims_nothing_twice_and_leaks_nothing(rig: OperatorRig) -> None:
    load, chance = Load(rig, SEED), random.Random(SEED)
    rig.start("a")
    rig.pool(MEMBERS)
    rig.until_members(ready=MEMBERS)

    async def kill_again_and_again() -> None:
        async with load.running(USERS):
            await asyncio.sleep(2)
            for _ in range(KILLS):
                await asyncio.sleep(await beside(lambda: kill_and_start(rig, chance)))
            # How many the machine manages between two deaths is its affair; that each door has served is the test's.
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not served_by_both(load):  # noqa: ASYNC110 - what is waited for happens in other processes
                    await asyncio.sleep(0.1)

    asyncio.run(kill_again_and_again())
    rig.until_leads("a")
    rig.until_free()
    rig.until_members(ready=MEMBERS)
    rig.wait(
        lambda: [one["metadata"]["name"] for one in rig.all("leases") if not has_ended(one)],
        lambda left: not left,
        "every lease has an end",
    )
    rig.check_none_bound_twice()
    assert len(rig.all("pods")) == MEMBERS
    rig.until_nothing_left()
    rig.check_none_bound_twice()


@pytest.mark.unhappy("leases made and deleted, and a pool deleted, while the operator is down")
def test_what_happened_while_the_operator_was_down_is_found_when_it_is_back(rig: OperatorRig) -> None:
    rig.start("a")
    rig.pool(3)
    rig.pool(2, "other")
    for name in ("kept", "deleted", "revoked"):
        rig.lease(name)
    rig.lease("of-other", poolRefs=[{"name": "other"}])
    kept = {name: rig.until_bound(name) for name in ("kept", "deleted", "revoked", "of-other")}
    rig.until_members("other", ready=1, claimed=1)
    rig.replicas["a"].kill()
    rig.delete("leases", "deleted")
    rig.change("leases", "revoked", {"revoke": {"graceSeconds": 0}})
    rig.lease("made", count=2)
    rig.delete("instancepools", "other")

    rig.start("a")
    rig.until_said("revoked", "Released", "Revoked")
    # The two members that it gets are those of the deleted and the revoked one: freed, though nobody saw it happen.
    made = rig.until_bound("made")
    assert set(made) == {*kept["deleted"], *kept["revoked"]}
    assert rig.epochs("kept") == kept["kept"]
    assert rig.epochs("of-other") in ({}, kept["of-other"])
    rig.check_none_bound_twice()
    rig.until_nothing_left()
    rig.check_none_bound_twice()


@pytest.mark.unhappy("reply of a bind lost: the same bind again gets the same answer, or the member undoes it")
def test_a_bind_whose_reply_is_lost_leaks_nothing(rig: OperatorRig) -> None:
    assert rig.stand_ins is not None
    rig.start("a")
    rig.pool(4)
    rig.until_members(ready=4)
    rig.stand_ins.say("lose", "bind", 5)
    rig.lease("gang", count=3)
    rig.lease("single")
    rig.until_bound("gang", "single")
    rig.check_none_bound_twice()
    rig.wait(
        lambda: (set(holders(rig.records())), {**rig.epochs("gang"), **rig.epochs("single")}),
        lambda both: both[0] == set(both[1]) and len(both[0]) == 4,
        "the leases have the four members, and no others are bound",
    )
    rig.until_nothing_left()
    rig.check_none_bound_twice()


@pytest.mark.unhappy("operator killed between a bind and its reply: its successor adopts the member")
def test_a_member_that_was_bound_when_the_operator_died_is_adopted_by_the_next(rig: OperatorRig) -> None:
    assert rig.stand_ins is not None
    rig.start("a")
    rig.pool(1)
    rig.until_members(ready=1)
    # No answer ever comes: the operator asks again and again, and dies without having heard one.
    rig.stand_ins.say("lose", "bind", 1_000_000)
    rig.lease("unheard", queueTimeoutSeconds=300)
    rig.wait(rig.records, lambda all_: any(one.event == "bound" for one in all_), "the member is bound")
    rig.replicas["a"].kill()
    assert rig.epochs("unheard") == {}
    rig.stand_ins.say("lose", "bind", 0)

    rig.start("a")
    epochs = rig.until_bound("unheard")
    rig.wait(lambda: holders(rig.records()), lambda held: set(held) == set(epochs), "its member says so, too")
    rig.check_none_bound_twice()
    rig.until_nothing_left()


@pytest.mark.unhappy("operator killed between a bind and its reply, and the lease deleted: the bind is undone")
def test_a_member_that_was_bound_to_a_lease_that_is_gone_frees_itself(rig: OperatorRig) -> None:
    assert rig.stand_ins is not None
    rig.start("a")
    rig.pool(1)
    rig.until_members(ready=1)
    rig.stand_ins.say("lose", "bind", 1_000_000)
    rig.lease("unheard", queueTimeoutSeconds=300)
    rig.wait(rig.records, lambda all_: any(one.event == "bound" for one in all_), "the member is bound")
    rig.replicas["a"].kill()
    rig.delete("leases", "unheard")
    rig.stand_ins.say("lose", "bind", 0)

    rig.until_free()
    rig.start("a")
    rig.lease("next")
    rig.until_bound("next")
    rig.check_none_bound_twice()
    rig.until_nothing_left()


@pytest.mark.unhappy("operator restarted twice with everything settled: nothing is written but leadership")
def test_an_operator_that_finds_everything_settled_writes_nothing(rig: OperatorRig) -> None:
    rig.start("a")
    rig.pool(4)
    for name in ("one", "two", "ended"):
        rig.lease(name)
    rig.until_bound("one", "two", "ended")
    rig.change("leases", "ended", {"revoke": {"graceSeconds": 0}})
    rig.lease("hopeless", poolRefs=[{"name": "none"}])
    rig.until_said("ended", "Released", "Revoked")
    rig.until_said("hopeless", "Released", "PoolNotFound")
    rig.until_members(ready=2, claimed=2)
    # A pool's counters are written at most once a second: what is on its way has to arrive.
    before = rig.wait(rig.versions, lambda seen: not changes(rig, seen), "all is settled")

    for restart in (1, 2):
        assert rig.replicas["a"].stop() == 0
        replica = rig.start("a")
        rig.until_leads("a")
        rig.wait(adoptions(replica), (2 * restart).__eq__, "both bound leases are adopted")
        assert changes(rig, before) == set()
        by_election = 'leasegrid_api_writes_total{accepted="true",kind="Lease",verb="patch"}'
        # Of one instant, as the leader renews its record meanwhile.
        written, renewals = metrics(replica, "leasegrid_api_writes_total", by_election)
        assert written == renewals > 0
    rig.until_nothing_left()


def adoptions(replica: OperatorProcess) -> Callable[[], int]:
    """Looks how many leases it has adopted, its earlier lives included."""
    return lambda: replica.said().count("lease-adopted")


def changes(rig: OperatorRig, before: dict[str, str]) -> set[tuple[str, str]]:
    """The versions that two seconds bring or take away: what does not happen has no event to wait for."""
    time.sleep(2)
    return set(rig.versions().items()) ^ set(before.items())
