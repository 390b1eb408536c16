"""Leases of real members: pods that a process kubelet runs, with sandboxes that run WebAssembly."""

import asyncio
import signal
from collections.abc import Iterator
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.coordinator.capabilities import read_capability
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, SignatureError
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.work import Prepared
from tests.integration.control_plane import ControlPlane
from tests.integration.lease_house import HOLDER, HOLDER_KEY, clear
from tests.integration.operator_rig import OperatorRig, beside, operator_rig
from tests.support import wat
from tests.support.cluster.kubelet import Kubelet
from tests.support.members import Address, prepare, run

REAL = {"cpu": "1", "memory": "1Gi"}


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    """One operator and one pool of three real members for all tests of this file."""
    with operator_rig(controlled, tmp_path_factory.mktemp("real"), real=True) as rig:
        rig.start("a")
        rig.pool(3, resources=REAL)
        yield rig


@pytest.fixture
def house(shared: OperatorRig) -> Iterator[OperatorRig]:
    """The same, with all members ready."""
    shared.until_members(ready=3)
    yield shared
    clear_leases(shared)


def clear_leases(rig: OperatorRig) -> None:
    """Delete the leases of a test; the pool stays."""
    for one in rig.all("leases"):
        rig.delete("leases", one["metadata"]["name"])


def bound(rig: OperatorRig, name: str, **spec: object) -> tuple[list[Address], str]:
    """A lease's members as its holder finds them in its status, and its capability."""
    rig.lease(name, **{"holderKey": HOLDER_KEY} | spec)
    rig.until_bound(name)
    status = rig.status("leases", name)
    (capability,) = status["capabilities"]
    incarnations = {grant.member: grant.incarnation for grant in read_capability(capability).members}
    return [Address(one["name"], one["endpoint"], incarnations[one["name"]]) for one in status["members"]], capability


def send(rig: OperatorRig, pods: list[str], number: int) -> None:
    """A signal to the processes of pods."""
    for pod in pods:
        assert rig.kubelet is not None
        rig.kubelet.do(partial(Kubelet.send, pod=pod, number=number))


async def ran(member: Address, capability: str, count: int) -> list[bytes]:
    """What a module that copies its input says of so many tasks."""
    connection = await WorkConnection.open(member, capability, HOLDER)
    try:
        assert isinstance(await prepare(connection, wat.echo()), Prepared)
        results, missing = await run(connection, count)
        assert not missing
        return [result.outcome.stdout for result in results]
    finally:
        await connection.close()


def test_from_a_warm_pool_by_an_object_to_nothing_left(house: OperatorRig) -> None:
    members, capability = bound(house, "journey", count=2, minCount=2, ttlSeconds=60)
    assert asyncio.run(ran(members[0], capability, 5)) == [b"input %d\n" % number for number in range(5)]
    assert len(asyncio.run(ran(members[1], capability, 2))) == 2

    before = house.status("leases", "journey")["expireTime"]
    house.change("leases", "journey", {"renewTime": "2026-01-01T00:00:00.000000Z"})
    house.wait(lambda: house.status("leases", "journey")["expireTime"], before.__lt__, "it is renewed")
    renewed = house.status("leases", "journey")["capabilities"][0]
    assert len(asyncio.run(ran(members[0], renewed, 3))) == 3

    house.change("leases", "journey", {"revoke": {"graceSeconds": 0}})
    house.until_said("journey", "Released", "Revoked")
    receipt = house.status("leases", "journey")["receipt"]
    assert (receipt["members"], receipt["tasklets"], receipt["unverified"]) == (2, 10, [])
    assert receipt["heldMilliseconds"] > 0
    house.until_members(ready=3)
    with pytest.raises(LeaseGridError):
        asyncio.run(ran(members[0], renewed, 1))
    house.delete("leases", "journey")
    assert house.all("leases") == []


def test_from_a_warm_pool_by_the_broker_to_nothing_left(house: OperatorRig) -> None:
    access = house.access("a", holder=HOLDER)
    request = LeaseRequest(request_id="program", holder_key=HOLDER_KEY, namespace=house.namespace, count=2, min_count=2)

    async def story() -> None:
        async with ClusterFabric(access) as fabric:
            view = await fabric.acquire(request)
            (capability,) = view.capabilities
            done = await asyncio.gather(
                *(
                    ran(Address(member.name, member.endpoint, member.incarnation), capability, 4)
                    for member in view.members
                )
            )
            assert [len(outputs) for outputs in done] == [4, 4]
            renewed = await fabric.renew(view.uid)
            assert renewed.version > view.version
            receipt = await fabric.release(view.uid)
            assert (receipt.reason, receipt.tasklets, receipt.unverified) == ("Finished", 8, ())
            assert receipt.counters.fuel_used > 0
        await beside(lambda: house.until_said("program", "Released", "Finished"))

    asyncio.run(story())
    assert house.status("leases", "program")["receipt"]["tasklets"] == 8
    house.until_members(ready=3)


@pytest.mark.unhappy("a capability that is forged, stolen, of another lease, or of an earlier epoch")
def test_a_member_of_a_cluster_believes_no_capability_but_its_leases_own(house: OperatorRig) -> None:
    members, capability = bound(house, "mine")
    others, other = bound(house, "other")
    member, statement = members[0], read_capability(capability)
    forged = sign(replace(statement, deadline=statement.deadline + 3600), Ed25519PrivateKey.generate())

    async def refused(shown: str, key: Ed25519PrivateKey = HOLDER) -> None:
        with pytest.raises((RefusedError, SignatureError)):
            await (await WorkConnection.open(member, shown, key)).close()

    async def story() -> None:
        await refused(forged)
        await refused(capability, Ed25519PrivateKey.generate())
        await refused(other)
        async with MemberClient(member.endpoint) as client:
            before = await client.state()
            for shown in (forged, other):
                with pytest.raises((RefusedError, SignatureError)):
                    await client.renew(shown)
            # Shown again, the lease's own moves nothing; shown where it does not belong, it frees nobody.
            assert (await client.renew(capability)).seconds_left <= before.seconds_left
            with pytest.raises(RefusedError):
                await client.release(other)
            assert (await client.state()).lease_uid == statement.lease_uid
        async with MemberClient(others[0].endpoint) as client:
            with pytest.raises(RefusedError):
                await client.release(capability)

    asyncio.run(story())
    house.delete("leases", "mine")
    house.delete("leases", "other")
    house.until_members(ready=3)
    bound(house, "successors", count=3, minCount=3)

    async def later() -> None:
        await refused(capability)
        async with MemberClient(member.endpoint) as client:
            # Of an older epoch it is a successful no-op, which frees nobody.
            assert (await client.release(capability)).stale
            assert (await client.state()).state is MemberState.CLAIMED

    asyncio.run(later())


@pytest.mark.unhappy("a member that does not answer its bind: the next one is taken")
def test_members_that_do_not_answer_are_passed_over(house: OperatorRig) -> None:
    pods = [pod["metadata"]["name"] for pod in house.all("pods")]
    silent, answering = pods[:2], pods[2]
    send(house, silent, signal.SIGSTOP)
    try:
        (member,), _ = bound(house, "passes")
        assert member.name == answering
        house.lease("impatient", onEmpty="Fail")
        house.until_said("impatient", "Released", "PoolEmpty")
    finally:
        send(house, silent, signal.SIGCONT)
    house.until_members(ready=2, claimed=1)


def test_nothing_is_left_of_a_pool_of_real_members(shared: OperatorRig) -> None:
    clear(shared)
    shared.until_nothing_left()
    shared.pool(3, resources=REAL)
