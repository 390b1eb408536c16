"""What people and other replicas see of leases: kubectl, objects that are wrong, followers, nodes that are gone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tasklet_runner.fabric.answers import decoded
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import Ask, BrokerCalls
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tests.integration.control_plane import ControlPlane
from tests.integration.lease_house import HOLDER, HOLDER_KEY, clear, court, lease_house
from tests.integration.operator_rig import OperatorRig, beside, operator_rig


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    """Two replicas and two nodes for all tests of this file."""
    with lease_house(controlled, tmp_path_factory.mktemp("leases"), nodes=2, replicas="ab") as rig:
        yield rig


@pytest.fixture
def house(shared: OperatorRig) -> Iterator[OperatorRig]:
    """The same, without leases and pools of the test before."""
    yield shared
    clear(shared)


def test_kubectl_shows_waits_for_and_describes_a_lease(house: OperatorRig) -> None:
    pool = court(house, 1, maxSize=3)
    here = ("--namespace", house.namespace)
    lease = pool.lease("lease", count=2, minCount=2, holderIdentity="alice", purpose="training")
    house.plane.kubectl("scale", "lgpool", pool.pool, "--replicas=2", *here)
    kubectl = house.plane.kubectl
    assert "condition met" in kubectl("wait", "lglease", lease, "--for=condition=Bound", "--timeout=40s", *here)
    row = kubectl("get", "lglease", lease, *here, "--no-headers")
    assert lease in row
    assert "Bound" in row
    assert kubectl("get", "leasegrid", *here, "--output=name").count("/") >= 2
    described = kubectl("describe", "lglease", lease, *here)
    for words in ("Holder Identity:  alice", "2 of 2 members are bound", "Endpoint:", "Expire Time:"):
        assert words in described
    assert "So long a queued lease waits at most." in kubectl("explain", "lglease.spec.queueTimeoutSeconds")
    house.change("leases", lease, {"revoke": {"graceSeconds": 0}})
    assert "condition met" in kubectl("wait", "lglease", lease, "--for=condition=Released", "--timeout=40s", *here)
    assert "Revoked" in kubectl("describe", "lglease", lease, *here)


STRANGE: dict[str, dict[str, object]] = {
    "a-thousandth-of-a-core": {"requirements": {"cpu": "1m"}},
    "a-billion-cores": {"requirements": {"cpu": "1e9"}},
    "no-core": {"requirements": {"cpu": 0}},
    "a-tenth-of-a-byte": {"requirements": {"memory": "0.1"}},
    "all-memory-there-is": {"requirements": {"memory": "100E"}},
    "a-store-of-no-size": {"requirements": {"resource": "Memory"}},
    "nothing-required": {"requirements": {}},
    "no-pools": {"poolRefs": []},
    "a-key-of-zeros": {"holderKey": "A" * 43},
    "renewed-in-the-year-0": {"renewTime": "0000-01-01T00:00:00Z"},
    "renewed-in-a-leap-second": {"renewTime": "2026-12-31T23:59:60Z"},
    "revoked-from-the-start": {"revoke": {}},
    "its-own-parent": {"parentRef": {"name": "its-own-parent"}},
    "a-life-longer-than-a-pool-allows": {"ttlSeconds": 315360000},
    "last-in-every-queue": {"priority": -1000000000},
}


@pytest.mark.unhappy("objects that are legal and strange: each is bound or refused in words, and the operator lives")
def test_what_is_legal_and_strange_is_bound_or_refused_in_words(house: OperatorRig) -> None:
    house.pool(len(STRANGE))
    house.until_members(ready=len(STRANGE))
    for name, spec in STRANGE.items():
        house.lease(name, **{"onEmpty": "Fail", "holderKey": HOLDER_KEY} | spec)

    def settled() -> dict[str, str]:
        said = {name: house.status("leases", name).get("conditions") or [] for name in STRANGE}
        return {
            name: f"{one['type']}: {one['message']}"
            for name, all_ in said.items()
            for one in all_
            if one["status"] == "True" and one["type"] in ("Bound", "Released")
        }

    words = house.wait(settled, lambda seen: set(seen) == set(STRANGE), "every one is bound or released")
    assert [name for name, said in words.items() if len(said) < 15] == []
    assert words["a-billion-cores"].startswith("Released: no member of")
    assert words["a-key-of-zeros"].startswith("Bound")
    assert "revoked before it was bound" in words["revoked-from-the-start"]
    house.until_leads("a")


@pytest.mark.unhappy("the leader is busy elsewhere: a follower frees members by their capability, and the leader hears")
def test_a_lease_that_a_follower_releases_is_over_for_its_leader_too(house: OperatorRig) -> None:
    pool = court(house, 3)
    request = LeaseRequest(
        request_id=pool.named("elastic"), holder_key=HOLDER_KEY, namespace=house.namespace, pools=(pool.pool,),
        count=2, min_count=2, elastic=True,
    )  # fmt: skip

    async def story() -> None:
        async with ClusterFabric(house.access("a", holder=HOLDER)) as fabric:
            view = await fabric.acquire(request)
            receipt = await released_at(house, "b", view)
            assert (receipt.reason, receipt.unverified) == ("Finished", ())
            assert set(receipt.members) == {member.name for member in view.members}
            ended = view
            while not ended.ended:
                ended = await fabric.watch(view.uid, ended.version)
            assert ended.ended == "Finished"
        written = await beside(lambda: pool.released(view.name, "Finished"))
        assert written["members"] == 2

    asyncio.run(story())
    pool.until_warm(3)


async def released_at(house: OperatorRig, replica: str, view: LeaseView) -> Receipt:
    """Release a lease by its capability at one replica, whoever leads."""
    calls = BrokerCalls(house.access(replica, holder=HOLDER))
    path = f"/v1/namespaces/{quote(house.namespace)}/leases/{view.uid}"
    try:
        return decoded(await calls.send(Ask("DELETE", path, capability=view.capabilities[0])), Receipt)
    finally:
        await calls.close()


@pytest.mark.unhappy("a node is gone: Released as Unverified, completed when the pod is seen to be gone")
def test_a_lease_whose_node_is_gone_ends_unverified_and_is_completed_later(house: OperatorRig) -> None:
    pool = court(house, 2)
    lease = pool.bound("lease", ttlSeconds=6)
    (member,) = house.status("leases", lease)["members"]
    assert house.stand_ins is not None
    house.stand_ins.say("stop-node", member["node"], "killed")
    message = house.until_said(lease, "Released", "Unverified")
    assert f"nobody has seen the end of 1 members or volumes yet: {member['name']}" in message
    assert pool.receipt(lease)["unverified"] == [member["name"]]

    house.plane.kubectl("delete", "pod", member["name"], "-n", house.namespace, "--force", "--grace-period=0")
    house.until_said(lease, "Released", "Expired")
    assert (pool.receipt(lease)["unverified"], pool.receipt(lease)["members"]) == ([], 1)
    assert house.condition(lease, "Released")["message"] == "it was not renewed before its deadline"
    house.stand_ins.say("start-node", member["node"])


@pytest.mark.unhappy("the leader dies, a follower releases, and a node is gone: the next leader completes all of it")
def test_the_next_leader_knows_what_was_released_and_seen_meanwhile(controlled: ControlPlane, tmp_path: Path) -> None:
    with operator_rig(controlled, tmp_path, nodes=2) as rig:
        for name in "ab":
            rig.start(name)
            rig.until_leads("a")
        pool = court(rig, 8)
        lost = pool.bound("lost", ttlSeconds=6)
        (member,) = rig.status("leases", lost)["members"]
        assert rig.stand_ins is not None
        rig.stand_ins.say("stop-node", member["node"], "killed")
        rig.until_said(lost, "Released", "Unverified")

        parent, expires = pool.bound("parent", ttlSeconds=600), pool.bound("expires", ttlSeconds=8)
        before = rig.status("leases", parent)["expireTime"]
        request = LeaseRequest(request_id=pool.named("mine"), holder_key=HOLDER_KEY, namespace=rig.namespace,
                               pools=(pool.pool,), on_empty="Queue", parent=parent)  # fmt: skip

        async def story() -> None:
            async with ClusterFabric(rig.access("a", holder=HOLDER)) as fabric:
                view = await fabric.acquire(request)
                await beside(lambda: rig.until_bound(view.name))
                rig.replicas["a"].kill()
                assert (await released_at(rig, "b", view)).unverified == ()

        asyncio.run(story())
        rig.change("leases", parent, {"renewTime": "2026-01-01T00:00:00Z"})
        rig.plane.kubectl("delete", "pod", member["name"], "-n", rig.namespace, "--force", "--grace-period=0")
        rig.until_leads("b")
        rig.stand_ins.say("start-node", member["node"])
        assert pool.released(pool.named("mine"), "Finished")["members"] == 1
        assert pool.released(lost, "Expired")["unverified"] == []
        pool.released(expires, "Expired")
        rig.wait(lambda: rig.status("leases", parent)["expireTime"], before.__lt__, "it is renewed by the next leader")
        rig.until_nothing_left()
        rig.check_none_bound_twice()
