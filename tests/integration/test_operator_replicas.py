"""Replicas of the operator: one leads, another takes over, and none of it disturbs who works."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView
from tasklet_runner.wire.signed import public_text
from tests.integration.looking import WAIT_SECONDS
from tests.integration.operator_rig import OperatorRig, beside, metric
from tests.support.cluster.records import holders

ELECTION = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/leasegrid-operator"


def leader(rig: OperatorRig) -> str:
    """Who holds the record of the election."""
    record = rig.plane.api.ask("GET", ELECTION.format(rig.namespace)).body
    spec = record["spec"]
    assert isinstance(spec, dict)
    return str(spec.get("holderIdentity", ""))


def until_true(rig: OperatorRig, *names: str) -> None:
    """Wait until the statuses of these leases name the members that say so themselves, and no others."""

    def seen() -> tuple[dict[str, str], dict[str, str]]:
        uids = {name: str(rig.get("leases", name)["metadata"]["uid"]) for name in names}
        said = {member: uids[name] for name in names for member in rig.epochs(name)}
        return said, {member: uid for member, uid in holders(rig.records()).items() if uid in uids.values()}

    rig.wait(seen, lambda both: both[0] == both[1], f"the statuses of {names} are true")


@pytest.mark.unhappy("operator told to end: clean exit, leadership given back, members stay bound")
def test_a_leader_that_is_told_to_end_hands_over_and_leaves_members_bound(rig: OperatorRig) -> None:
    rig.start("a")
    rig.until_leads("a")
    rig.start("b")
    rig.pool(3)
    rig.lease("held", count=2)
    epochs = rig.until_bound("held")

    assert rig.replicas["a"].stop() == 0, rig.said()
    said = rig.replicas["a"].said()
    assert "leadership-released" in said
    assert "operator-stopped" in said
    assert leader(rig) in ("", "b")
    rig.until_leads("b")
    rig.lease("after")
    rig.until_bound("after")
    assert rig.epochs("held") == epochs
    rig.delete("leases", "held")
    rig.delete("leases", "after")
    rig.until_free()
    assert sum(one.event == "bound" for one in rig.records()) == 3
    rig.until_nothing_left()


def one_member(access: BrokerAccess) -> LeaseRequest:
    """What a holder asks the broker for; it waits if need be."""
    return LeaseRequest(
        request_id="brokered",
        holder_key=public_text(access.holder),
        namespace=access.namespace,
        count=1,
        min_count=1,
        ttl_seconds=60,
        on_empty="Queue",
        queue_timeout_seconds=120,
    )


async def acquired(access: BrokerAccess) -> LeaseView:
    async with ClusterFabric(access) as fabric:
        return await fabric.acquire(one_member(access))


@pytest.mark.unhappy("two operators: who waits at the broker of a leader that ends is served by the next one")
def test_an_acquisition_that_waits_goes_on_at_the_next_leader(rig: OperatorRig) -> None:
    rig.start("a")
    rig.until_leads("a")
    rig.start("b")
    rig.pool(1)
    rig.lease("held")
    rig.until_bound("held")
    access = rig.access(patience=60)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: asyncio.run(acquired(access)))
        rig.wait(lambda: rig.status("leases", "brokered"), lambda one: one.get("queuePosition") == 1, "it queues")
        assert rig.replicas["a"].stop() == 0, rig.said()
        rig.until_leads("b")
        assert not waiting.done()
        rig.delete("leases", "held")
        view = waiting.result(WAIT_SECONDS)
    assert view.uid == rig.get("leases", "brokered")["metadata"]["uid"]
    assert {one.name: one.epoch for one in view.members} == rig.until_bound("brokered")
    rig.check_none_bound_twice()
    rig.until_nothing_left()


@pytest.mark.unhappy("two operators: the leader is killed, the follower adopts what is bound and the queue goes on")
def test_the_follower_of_a_killed_leader_takes_over_without_disturbing_anyone(rig: OperatorRig) -> None:
    rig.start("a")
    rig.until_leads("a")
    rig.start("b")
    rig.pool(3)
    rig.lease("held", count=2)
    rig.lease("short", ttlSeconds=10)
    epochs = rig.until_bound("held", "short")
    rig.lease("queued", queueTimeoutSeconds=300)
    rig.wait(lambda: rig.status("leases", "queued"), lambda one: one.get("queuePosition") == 1, "it queues")

    # Its deadline comes while nobody leads: the member frees itself.
    os.kill(rig.replicas["b"].pid, signal.SIGSTOP)
    rig.replicas["a"].kill()
    rig.wait(rig.records, lambda all_: any(one.reason == "LeaseExpired" for one in all_), "the short one expires")
    os.kill(rig.replicas["b"].pid, signal.SIGCONT)
    rig.until_leads("b")
    rig.until_said("short", "Released", "Expired")
    after = rig.until_bound("held", "queued")
    assert {name: epoch for name, epoch in after.items() if name in rig.epochs("held")} == {
        name: epochs[name] for name in rig.epochs("held")
    }
    rig.check_none_bound_twice()
    rig.until_nothing_left()
    rig.check_none_bound_twice()


@pytest.mark.unhappy("two operators: a leader stopped for longer than its lease decides nothing when it goes on")
def test_a_leader_that_was_stopped_past_its_time_decides_nothing_more(rig: OperatorRig) -> None:
    first = rig.start("a")
    rig.until_leads("a")
    rig.start("b")
    rig.pool(4)
    rig.lease("kept")
    rig.lease("deleted")
    kept = rig.until_bound("kept", "deleted")
    os.kill(first.pid, signal.SIGSTOP)
    rig.until_leads("b")
    # What the stopped one finds when it goes on: a lease that was deleted, three that came, of which one has ended.
    rig.delete("leases", "deleted")
    for name in ("new", "newer", "ended"):
        rig.lease(name)
    rig.until_bound("new", "newer", "ended")
    rig.change("leases", "ended", {"revoke": {"graceSeconds": 0}})
    rig.until_said("ended", "Released", "Revoked")
    rig.until_members(ready=1, claimed=3)
    settled = rig.versions("leases", "pods")

    os.kill(first.pid, signal.SIGCONT)
    rig.wait(lambda: metric(first, "leasegrid_leader"), lambda leads: leads == 0.0, "the first leads no more")
    rig.wait(first.said, lambda said: "leadership-lost" in said, "the first has ceased")
    rig.lease("last")
    rig.until_bound("last")
    until_true(rig, "kept", "new", "newer", "last")
    assert {name: version for name, version in rig.versions("leases", "pods").items() if name in settled} == settled
    assert rig.epochs("kept").items() <= kept.items()
    # Each lease got its one member once: a second decision would have bound another for it.
    assert sum(one.event == "bound" for one in rig.records()) == 6
    rig.check_none_bound_twice()
    rig.until_nothing_left()


async def until_confirmed(view: LeaseView) -> None:
    """Wait until the member holds to the lease whatever becomes of the operator."""
    async with MemberClient(view.members[0].endpoint) as member, asyncio.timeout(WAIT_SECONDS):
        while not (await member.state()).confirmed:  # noqa: ASYNC110 - another process sets no event here
            await asyncio.sleep(0.01)


@pytest.mark.unhappy("two operators: a lease of the broker is renewed at the follower while nobody leads")
def test_holders_renew_at_any_replica_and_acquire_at_the_leader(rig: OperatorRig) -> None:
    rig.start("a")
    rig.until_leads("a")
    rig.start("b")
    rig.pool(2)
    rig.until_members(ready=2)

    async def hold() -> None:
        access = rig.access("b", "a", patience=60)
        async with ClusterFabric(access) as fabric:
            # The follower names the leader, and the client goes there.
            view = await fabric.acquire(one_member(access))
            await until_confirmed(view)
            await beside(rig.replicas["a"].kill)
            renewed = await fabric.renew(view.uid)
            assert renewed.members == view.members
            assert renewed.expires_in > view.expires_in - 1
            await beside(lambda: rig.until_leads("b"))
            again = await fabric.renew(view.uid)
            assert (again.members, again.ended) == (view.members, "")
            receipt = await fabric.release(view.uid)
            assert receipt.members == (view.members[0].name,)

    asyncio.run(hold())
    rig.check_none_bound_twice()
    rig.until_nothing_left()
