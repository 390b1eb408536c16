"""Pools as people apply them: warm members of the three resources, and the objects that leases keep in two of them."""

import pytest

from tests.e2e.doors import StoreLease
from tests.e2e.rooms import Room

MEMORY = {"resource": "Memory", "storage": {"size": "8Mi"}}
BLOCK = {"resource": "Block", "storage": {"size": "8Mi"}}


def test_pools_of_the_three_resources_are_warm_in_a_namespace_of_level_restricted(space: Room) -> None:
    space.pool("cpu", 2)
    space.pool("memory", 1, **MEMORY)
    space.pool("block", 1, **BLOCK)
    space.until_members("cpu", ready=2)
    space.until_members("memory", ready=1)
    space.until_members("block", ready=1)
    (claim,) = space.all("persistentvolumeclaims")
    assert claim["status"]["phase"] == "Bound"
    assert len(space.all("pods")) == 4


@pytest.mark.unhappy("the pod of a held block store is deleted, on a cluster of containers")
def test_a_block_lease_keeps_its_objects_over_a_deleted_pod_and_takes_them_to_the_grave(space: Room) -> None:
    space.pool("block", 1, **BLOCK)
    space.until_members("block", ready=1)
    store = StoreLease(space, "kept")
    member = store.acquire("block")
    store.put("a/b", b"written once")
    (volume,) = [
        one["spec"]["volumeName"] for one in space.all("persistentvolumeclaims") if member in one["metadata"]["name"]
    ]

    space.delete("pod", member)
    space.cluster.wait(lambda: space.held("kept"), lambda now: now and member not in now, "the lease has a successor")
    assert store.get("a/b") == b"written once"
    assert set(space.held("kept").values()) == {2}

    space.change("lglease", "kept", {"revoke": {"graceSeconds": 0}})
    receipt = space.released("kept")
    assert (receipt["volumes"], receipt["unverified"]) == (1, [])
    assert volume not in [one["metadata"]["name"] for one in space.cluster.objects("persistentvolumes")]


def test_a_memory_lease_serves_its_holder_and_leaves_no_pod(space: Room) -> None:
    space.pool("memory", 1, **MEMORY)
    space.until_members("memory", ready=1)
    store = StoreLease(space, "quick")
    member = store.acquire("memory")
    store.put("a", b"in memory")
    assert store.get("a") == b"in memory"
    space.delete("lglease", "quick")
    space.until_gone("pods", member)
    space.until_members("memory", ready=1)
