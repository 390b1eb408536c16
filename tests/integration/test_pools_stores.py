"""Memory and block members on a real control plane: volumes made, handed to a lease, served again, deleted."""

import asyncio
import signal
from typing import Any
from uuid import uuid4

import pytest

from leasegrid_operator.pools.pods import LEASE_KIND, Owner
from leasegrid_operator.pools.reading import ClaimFacts, read_claim, read_pod
from leasegrid_operator.pools.volumes import StoreMember, end_store, reparent, succeed
from leasegrid_operator.resources import CLAIMS, LEASES, PODS, POOLS, STORAGE_CLASSES, VOLUMES, ObjectKey
from tests.integration.control_plane import ControlPlane
from tests.integration.pool_rig import COLLECTED, Object, PoolRig, pool_rig, shows, until
from tests.support.cluster.plane import storage_class


def block(class_name: str) -> dict[str, Any]:
    """A pool of block members of this class."""
    return {"resource": "Block", "storage": {"size": "1Mi", "storageClassName": class_name}}


async def lease(rig: PoolRig) -> Owner:
    """A Lease object, to own things."""
    name = f"lease-{uuid4().hex[:8]}"
    spec = {"poolRefs": [{"name": "store"}], "holderIdentity": "tests"}
    metadata = {"name": name, "namespace": rig.namespace}
    made = await rig.cluster.create(LEASES, {"metadata": metadata, "spec": spec})
    return Owner(LEASE_KIND, name, made["metadata"]["uid"], rig.namespace)


async def member(rig: PoolRig, name: str) -> StoreMember:
    """A member's pod and claim, as they are now."""
    pod, claim = await rig.get(PODS, name), await rig.get(CLAIMS, name)
    assert pod is not None
    facts = read_pod(pod)
    assert facts is not None
    return StoreMember(facts, read_claim(claim) if claim is not None else None)


async def owners(rig: PoolRig, name: str) -> list[list[str]]:
    """Who owns a member's pod and its claim."""
    found = [await rig.get(kind, name) for kind in (PODS, CLAIMS)]
    return [[one["uid"] for one in body["metadata"]["ownerReferences"]] for body in found if body is not None]


def test_a_block_pool_keeps_volumes_warm_and_ends_them_with_their_members(controlled: ControlPlane) -> None:
    async def story() -> None:
        storage_class(controlled, "deleting")
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=2, maxSize=2, **block("deleting"))
            await rig.until_ready(2, "store")
            assert await rig.claims() == await rig.pods()
            volumes = [one["spec"]["volumeName"] for one in await rig.all(CLAIMS)]

            await rig.change("store", targetSize=0)
            await rig.until_pods(0)
            await until(lambda: shows(rig.claims(), lambda names: not names), "the claims are gone")
            await until(lambda: shows(_left(rig, volumes), lambda left: not left), "the volumes are gone")

    asyncio.run(story())


async def _left(rig: PoolRig, volumes: list[str]) -> set[str]:
    there = {one["metadata"]["name"] for one in (await rig.cluster.list(VOLUMES)).items}
    return there & set(volumes)


def test_a_lease_owns_its_member_and_volume_alone_and_keeps_them_without_their_pool(controlled: ControlPlane) -> None:
    async def story() -> None:
        storage_class(controlled, "deleting")
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=1, maxSize=2, **block("deleting"))
            await rig.until_ready(1, "store")
            record = await rig.claim("store")
            (name,) = record.held
            await rig.until_ready(1, "store")
            holder = await lease(rig)
            for _ in range(2):
                await reparent(rig.operator, await member(rig, name), holder)
            assert await owners(rig, name) == [[holder.uid], [holder.uid]]

            await rig.cluster.delete(POOLS, ObjectKey(rig.namespace, "store"))
            await until(lambda: shows(rig.claims(), lambda names: names == [name]), "the other is collected", COLLECTED)
            assert await rig.pods() == [name]
            assert name not in rig.lost
            assert name in record.held

            await rig.cluster.delete(LEASES, ObjectKey(rig.namespace, holder.name))
            # Nobody but the garbage collector does this.
            await until(lambda: shows(rig.claims(), lambda names: not names), "the claim is collected", COLLECTED)
            await rig.until_pods(0)

    asyncio.run(story())


@pytest.mark.unhappy("pod lost -> same volume, next epoch")
def test_a_lost_store_is_followed_by_one_on_the_same_volume(controlled: ControlPlane) -> None:
    async def story() -> None:
        storage_class(controlled, "deleting")
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=1, maxSize=1, **block("deleting"))
            await rig.until_ready(1, "store")
            (name,) = (await rig.claim("store")).held
            holder = await lease(rig)
            lost = await member(rig, name)
            await reparent(rig.operator, lost, holder)
            template = rig.keeper.pools.all()[0].template
            assert await succeed(rig.operator, template, lost, holder) is None, "while the old one lives there is none"

            rig.kubelet.send(name, signal.SIGKILL)
            await until(lambda: name in rig.lost, "it is lost")
            # Its volume keeps its place below maxSize, so nobody else comes.
            await rig.until_said("CappedByMax", "True", "MaxSize", "store")
            successors = [await succeed(rig.operator, template, lost, holder) for _ in range(2)]
            assert successors == [f"{name}-s1"] * 2
            await until(lambda: _reports(rig, f"{name}-s1"), "the successor answers")

            follower = rig.parts.roster.find(f"{name}-s1")
            assert follower is not None
            assert (follower.lease, follower.free, rig.ready("store")) == (holder.uid, False, 0)
            served = await rig.get(PODS, follower.name)
            assert served is not None
            assert {"name": "store", "persistentVolumeClaim": {"claimName": name}} in served["spec"]["volumes"]

            last = StoreMember((await member(rig, follower.name)).pod, (await _claim(rig, name)))
            assert await end_store(rig.operator, last, seconds=30)
            assert name not in await rig.claims()

    asyncio.run(story())


def _reports(rig: PoolRig, name: str) -> bool:
    found = rig.parts.roster.find(name)
    return found is not None and bool(found.incarnation)


async def _claim(rig: PoolRig, name: str) -> ClaimFacts | None:
    body = await rig.get(CLAIMS, name)
    assert body is not None
    return read_claim(body)


def test_what_a_released_store_leaves_is_verified(controlled: ControlPlane) -> None:
    async def story() -> None:
        storage_class(controlled, "deleting")
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=1, maxSize=2, **block("deleting"))
            await rig.until_ready(1, "store")
            record = await rig.claim("store")
            (name,) = record.held
            await reparent(rig.operator, await member(rig, name), await lease(rig))
            await rig.until_ready(1, "store")
            ending = await member(rig, name)
            assert ending.claim is not None
            await rig.release(record)

            assert await end_store(rig.operator, ending, seconds=30)
            assert name not in await rig.claims()
            assert await _left(rig, [ending.claim.volume]) == set()

    asyncio.run(story())


def test_a_volume_that_stays_is_not_verified(controlled: ControlPlane) -> None:
    async def story() -> None:
        storage_class(controlled, "deleting")
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=1, maxSize=1, **block("deleting"))
            await rig.until_ready(1, "store")
            (name,) = await rig.pods()
            kept: Object = {"metadata": {"finalizers": ["tests.example/keep"]}}
            await rig.cluster.patch(CLAIMS, ObjectKey(rig.namespace, name), kept)
            assert not await end_store(rig.operator, await member(rig, name), seconds=0.5)
            await rig.cluster.patch(CLAIMS, ObjectKey(rig.namespace, name), {"metadata": {"finalizers": None}})

    asyncio.run(story())


@pytest.mark.unhappy("a StorageClass that retains")
def test_a_class_that_retains_is_refused_until_it_deletes(controlled: ControlPlane) -> None:
    async def story() -> None:
        name = f"class-{uuid4().hex[:8]}"
        storage_class(controlled, name, reclaim="Retain")
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=1, **block(name))
            message = await rig.until_said("Degraded", "True", "StorageClassRetains", "store")
            assert "whose policy is Delete" in message
            assert await rig.claims() == []
            assert await rig.pods() == []

            await rig.cluster.delete(STORAGE_CLASSES, ObjectKey("", name))
            await rig.until_said("Degraded", "True", "StorageClassNotFound", "store")
            storage_class(controlled, name, binding="WaitForFirstConsumer")
            await rig.until_ready(1, "store")
            await rig.until_said("Degraded", "False", "Healthy", "store")
            await rig.cluster.delete(STORAGE_CLASSES, ObjectKey("", name))

    asyncio.run(story())


@pytest.mark.unhappy("no default StorageClass")
def test_a_cluster_without_a_default_class_is_said_with_the_remedy(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=1, resource="Block", storage={"size": "8Mi"})
            message = await rig.until_said("Degraded", "True", "StorageClassNotFound", "store")
            assert message.startswith("no StorageClass is marked as the default")
            assert "spec.storage.storageClassName" in message
            assert await rig.claims() == []

    asyncio.run(story())


def test_a_memory_pool_has_no_claims_and_its_members_are_used_once(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool("store", targetSize=1, maxSize=2, resource="Memory", storage={"size": "8Mi"})
            await rig.until_ready(1, "store")
            assert await rig.claims() == []
            record = await rig.claim("store")
            (name,) = record.held
            await rig.release(record)
            await until(lambda: shows(rig.pods(), lambda names: names and name not in names), "another has its place")

    asyncio.run(story())
