"""Memory and block leases on a real control plane, with real members: used, lost, followed, and gone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import LeaseRequest, Receipt
from tasklet_runner.wire.signed import public_text
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, beside, operator_rig
from tests.integration.store_holding import (
    BLOCK,
    CLASS,
    MEMORY,
    StoreLease,
    claims_of,
    kubelet_of,
    until_no_trace,
    volumes_of,
)
from tests.support.cluster.plane import storage_class


@pytest.fixture
def stores(controlled: ControlPlane, tmp_path: Path) -> Iterator[OperatorRig]:
    """A namespace with two nodes for real members, and one operator."""
    storage_class(controlled, CLASS)
    with operator_rig(controlled, tmp_path, nodes=2, real=True) as rig:
        rig.start()
        yield rig


def check_use(lease: StoreLease) -> None:
    """Objects are put and read by the holder, and by nobody else; the store is the lease's alone."""
    lease.put("a/one", b"1")
    lease.put("two", b"22" * 100_000)
    assert lease.objects() == {"a/one": b"1", "two": b"22" * 100_000}
    lease.until_handed_over()
    stranger = Ed25519PrivateKey.generate()
    assert lease.refusal(holder=stranger) in ("Unauthenticated", "BadSignature")


def test_stores_are_warm_used_by_their_holder_alone_and_leave_nothing(stores: OperatorRig) -> None:
    stores.pool(1, "memory", maxSize=4, **MEMORY)
    stores.pool(2, "block", maxSize=4, **BLOCK)
    stores.until_members("memory", ready=1)
    stores.until_members("block", ready=2)
    warm = claims_of(stores)
    assert warm == dict.fromkeys([name for name in warm if name.startswith("block-")], "Bound")
    assert len(warm) == 2
    pool = stores.get("instancepools", "block")["metadata"]["uid"]
    block = StoreLease(stores, "b").acquire("block")
    memory = StoreLease(stores, "m").acquire("memory")
    spare = next(name for name in warm if name != block.member)
    assert block.owners(spare) == {pool}, "a warm claim is its pool's"

    for lease in (block, memory):
        check_use(lease)
    assert block.fence(memory.door()[1]) == "Unauthenticated", "another lease's capability opens nothing"

    store, directory = block.member, volumes_of(stores)[block.member]
    assert directory.exists()
    stores.change("leases", "b", {"revoke": {"graceSeconds": 0}})
    receipt = block.released()
    assert (receipt["volumes"], receipt["members"], receipt["unverified"]) == (1, 1, [])
    assert receipt["bytesWiped"] >= 8 << 20, receipt
    until_no_trace(stores, store, directory)

    gone = memory.member
    kubelet_of(stores).do(lambda kubelet: kubelet.kill(gone))
    message = stores.wait(
        lambda: stores.condition("m", "Bound"), lambda said: said["reason"] == "MembersLost", "m has lost its member"
    )["message"]
    assert "0 of 1" in message
    until_no_trace(stores, gone)
    stores.delete("leases", "m")


def test_stores_of_leases_that_expire_or_are_deleted_go_and_so_do_those_of_a_pool_that_shrinks(
    stores: OperatorRig,
) -> None:
    stores.pool(2, "block", maxSize=4, **BLOCK)
    stores.until_members("block", ready=2)
    places = volumes_of(stores)
    expiring = StoreLease(stores, "e").acquire("block", ttlSeconds=5)
    deleted = StoreLease(stores, "d").acquire("block")
    stores.delete("leases", "d")
    assert expiring.released()["volumes"] == 1
    for lease in (expiring, deleted):
        until_no_trace(stores, lease.member, places[lease.member])

    stores.change("instancepools", "block", {"targetSize": 0})
    stores.until_gone("persistentvolumeclaims")
    stores.wait(lambda: volumes_of(stores), lambda left: not left, "a pool that shrinks leaves no volume")


def test_what_is_given_back_goes_at_once_and_what_is_reported_lost_is_served_again(stores: OperatorRig) -> None:
    stores.pool(2, "block", **BLOCK)
    stores.until_members("block", ready=2)
    access = stores.access()
    name = f"pair-{uuid4().hex[:8]}"
    pair = StoreLease(stores, name, access.holder)
    request = LeaseRequest(
        request_id=name,
        holder_key=public_text(pair.holder),
        namespace=stores.namespace,
        count=2,
        min_count=2,
        pools=("block",),
    )

    async def story() -> Receipt:
        async with ClusterFabric(access) as fabric:
            view = await fabric.acquire(request)
            back, kept = (one.name for one in view.members)
            places = await beside(lambda: volumes_of(stores))
            view = await fabric.resize(view.uid, 1, (back,))
            await beside(lambda: until_no_trace(stores, back, places[back]))
            await beside(lambda: pair.until_member(kept, 1))
            await beside(lambda: pair.put("kept", b"all the time"))

            await fabric.report_lost(view.uid, kept, "it did not answer its holder")
            await beside(lambda: pair.until_member(f"{kept}-s1", 2))
            assert await beside(pair.objects) == {"kept": b"all the time"}
            receipt = await fabric.release(view.uid)
            await beside(lambda: until_no_trace(stores, kept, places[kept]))
            return receipt

    receipt = asyncio.run(story())
    assert (receipt.volumes, receipt.volume_bytes, receipt.unverified) == (2, 16 << 20, ())


@pytest.mark.unhappy("pod lost -> same volume, next epoch")
def test_a_lost_block_store_is_served_again_from_the_same_volume(stores: OperatorRig) -> None:
    kubelet = kubelet_of(stores)
    stores.pool(1, "block", maxSize=3, **BLOCK)
    lease = StoreLease(stores, "kept").acquire("block")
    store, uid = lease.member, lease.uid
    directory = volumes_of(stores)[store]
    lease.put("before", b"0")
    lease.until_handed_over()
    old = lease.door()

    kubelet.do(lambda nodes: nodes.kill(store))
    lease.until_member(f"{store}-s1", 2)
    assert lease.objects() == {"before": b"0"}
    assert lease.fence(old[1]) in ("Fenced", "Unauthenticated"), "who names the old epoch is refused"
    lease.put("after a crash", b"1")
    lease.until_handed_over(store, f"{store}-s1")

    stores.plane.kubectl("delete", "pod", f"{store}-s1", "--namespace", stores.namespace, "--wait=false")
    lease.until_member(f"{store}-s2", 3)
    lease.put("after a delete", b"2")

    node = stores.status("leases", "kept")["members"][0]["node"]
    pid = kubelet.do(lambda nodes: nodes.pid(f"{store}-s2"))
    kubelet.run(lambda nodes: nodes.stop_node(node, "stopped"))
    stores.plane.kubectl("delete", "pod", f"{store}-s2", "--namespace", stores.namespace, "--wait=false")
    stores.wait(
        lambda: stores.get("pods", f"{store}-s2")["metadata"], lambda seen: "deletionTimestamp" in seen, "it is to go"
    )
    # Nobody knows whether it still serves, and it does: whoever followed it would be a second one. The operator has
    # time enough to make one, as it makes another member meanwhile.
    stores.change("instancepools", "block", {"targetSize": 2})
    stores.wait(lambda: stores.members("block").get("ready"), lambda ready: ready == 2, "there are two others")
    assert Path(f"/proc/{pid}").exists()
    assert stores.get("pods", f"{store}-s3") == {}
    kubelet.run(lambda nodes: nodes.stop_node(node, "killed"))
    path = stores.path("pods", f"{store}-s2")
    stores.plane.api.ask("DELETE", path, {"gracePeriodSeconds": 0})
    lease.until_member(f"{store}-s3", 4)
    assert lease.objects() == {"before": b"0", "after a crash": b"1", "after a delete": b"2"}
    assert (lease.uid, volumes_of(stores)[store]) == (uid, directory)
    kubelet.run(lambda nodes: nodes.start_node(node))

    stores.change("leases", "kept", {"revoke": {"graceSeconds": 0}})
    receipt = lease.released()
    assert (receipt["volumes"], receipt["members"], receipt["unverified"]) == (1, 4, [])
    until_no_trace(stores, store, directory)
