"""Operators that die in the midst of it: the next one finishes what is begun, and nobody loses what is on a volume."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
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
from tests.support.cluster.plane import accepted, storage_class

MERGE = "application/merge-patch+json"
FINALIZER = "tests.example/held"
LABELS = ("leasegrid.dev/lease-uid", "leasegrid.dev/bound")
"""Of what was handed over."""

TTL_SECONDS = 10
REVOKED: dict[str, Any] = {"revoke": {"graceSeconds": 0}}


@pytest.fixture
def rig(controlled: ControlPlane, tmp_path: Path) -> Iterator[OperatorRig]:
    """A namespace with real members, and no operator yet."""
    storage_class(controlled, CLASS)
    with operator_rig(controlled, tmp_path, real=True) as made:
        yield made


def patched(rig: OperatorRig, plural: str, name: str, metadata: dict[str, Any]) -> None:
    """Change an object's metadata, as another client than the operator."""
    accepted(rig.plane.api.ask("PATCH", rig.path(plural, name), {"metadata": metadata}, MERGE))


def unverified(rig: OperatorRig, name: str) -> list[str]:
    """What a released lease's receipt says that nobody has seen to end."""
    return list(rig.status("leases", name)["receipt"]["unverified"])


def given_to_pool(rig: OperatorRig, pool: str, name: str) -> None:
    """Pod and claim as they were before the operator that bound the member had handed them over."""
    uid = rig.get("instancepools", pool)["metadata"]["uid"]
    owner = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "InstancePool", "name": pool, "uid": uid}
    reference = {**owner, "controller": True, "blockOwnerDeletion": False}
    for plural in ("persistentvolumeclaims", "pods"):
        if rig.get(plural, name):
            patched(rig, plural, name, {"ownerReferences": [reference], "labels": dict.fromkeys(LABELS)})


def made_for(rig: OperatorRig, lease: StoreLease, like: str) -> str:
    """A claim of a member that is being made for the lease, and has not been bound to it; its name."""
    name = f"{lease.name}-{lease.uid[:5]}-1"
    owner = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Lease", "name": lease.name, "uid": lease.uid}
    labels = {"app.kubernetes.io/managed-by": "leasegrid", LABELS[0]: lease.uid, "leasegrid.dev/resource": "block"}
    spec = {key: value for key, value in rig.get("persistentvolumeclaims", like)["spec"].items() if key != "volumeName"}
    reference = {**owner, "controller": True, "blockOwnerDeletion": False}
    metadata = {"name": name, "namespace": rig.namespace, "labels": labels, "ownerReferences": [reference]}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    accepted(rig.plane.api.ask("POST", rig.path("persistentvolumeclaims"), body))
    return name


@pytest.mark.unhappy("operator killed when a lease got a member of a pool, and another was being made for it")
def test_a_volume_that_was_never_a_leases_does_not_stand_in_for_the_one_that_has_its_bytes(rig: OperatorRig) -> None:
    rig.start("a")
    rig.pool(1, "block", **{**BLOCK, "maxSize": 1})
    lease = StoreLease(rig, "kept").acquire("block")
    lease.put("kept", b"here")
    lease.until_handed_over()
    rig.replicas["a"].kill()
    surplus = made_for(rig, lease, lease.member)
    kubelet_of(rig).do(lambda kubelet: kubelet.kill(lease.member))
    rig.wait(lambda: rig.get("pods", lease.member)["status"]["phase"], lambda phase: phase == "Failed", "it is dead")

    rig.start("a")
    lease.until_member(f"{lease.member}-s1", 2)
    assert lease.objects() == {"kept": b"here"}
    assert rig.condition("kept", "Bound")["reason"] != "Growing", "it has all that it asked for"
    assert f"{surplus}-s1" not in [one["metadata"]["name"] for one in rig.all("pods")]
    rig.change("leases", "kept", REVOKED)
    assert lease.released()["unverified"] == []
    rig.until_gone("persistentvolumeclaims", surplus)


@pytest.mark.unhappy("operator killed between bind and hand-over, and between release and the volume's end")
def test_the_next_operator_finishes_hand_overs_and_ends(rig: OperatorRig) -> None:
    rig.start("a")
    rig.pool(3, "block", **{**BLOCK, "maxSize": 3})
    rig.pool(1, "memory", **{**MEMORY, "maxSize": 1})
    bound, dead, ending, short = (StoreLease(rig, name) for name in ("bound", "dead", "ending", "memory"))
    for lease in (bound, dead, ending):
        lease.acquire("block")
        lease.put("kept", lease.name.encode())
        lease.until_handed_over()
    short.acquire("memory").put("kept", b"too")
    names = {lease.name: lease.member for lease in (bound, dead, ending, short)}
    places = volumes_of(rig)
    # Else the pool makes another member of a name that has become free, and that is no trace of the old one.
    rig.change("instancepools", "block", {"targetSize": 0})

    # The end of this one is begun, and cannot be finished: its claim is held.
    patched(rig, "persistentvolumeclaims", names["ending"], {"finalizers": [FINALIZER]})
    rig.change("leases", "ending", REVOKED)
    rig.until_gone("pods", names["ending"])
    rig.replicas["a"].kill()
    for name in ("bound", "dead", "memory"):
        given_to_pool(rig, "memory" if name == "memory" else "block", names[name])
    kubelet_of(rig).do(lambda kubelet: kubelet.kill(names["dead"]))
    rig.wait(lambda: rig.get("pods", names["dead"])["status"]["phase"], lambda phase: phase == "Failed", "it is dead")
    patched(rig, "persistentvolumeclaims", names["ending"], {"finalizers": None})

    rig.start("a")
    for lease in (bound, short):
        lease.until_handed_over(names[lease.name])
        assert lease.objects()["kept"] != b""
    dead.until_member(f"{names['dead']}-s1", 2)
    assert dead.objects() == {"kept": b"dead"}
    dead.until_handed_over(names["dead"], f"{names['dead']}-s1")
    receipt = ending.released()
    assert (receipt["unverified"], ending.rig.condition("ending", "Released")["reason"]) == ([], "Revoked")
    until_no_trace(rig, names["ending"], places[names["ending"]])
    rig.until_nothing_left()
    rig.wait(lambda: volumes_of(rig), lambda left: not left, "no volume is left")


@pytest.mark.unhappy("operator away for longer than a block lease lasts")
def test_no_block_lease_expires_before_its_holder_had_its_full_time_to_renew(rig: OperatorRig) -> None:
    rig.start("a")
    rig.pool(2, "block", **{**BLOCK, "maxSize": 4})
    rig.until_members("block", ready=2)
    alive = StoreLease(rig, "alive").acquire("block", ttlSeconds=4 * TTL_SECONDS)
    lease = StoreLease(rig, "kept").acquire("block", ttlSeconds=TTL_SECONDS)
    lease.put("kept", b"still")
    lease.until_handed_over()
    store, place = lease.member, volumes_of(rig)[lease.member]
    rig.replicas["a"].kill()
    # At its deadline its member stops serving, and erases nothing.
    rig.wait(lambda: rig.get("pods", store)["status"]["phase"], lambda phase: phase == "Succeeded", "it has ended")
    assert place.exists()
    assert claims_of(rig)[store] == "Bound"
    rig.plane.kubectl("delete", "pod", store, "--namespace", rig.namespace)

    started = datetime.now(UTC)
    rig.start("a")
    lease.until_member(f"{store}-s1", 2)
    assert lease.objects() == {"kept": b"still"}
    expires = datetime.fromisoformat(rig.status("leases", "kept")["expireTime"])
    assert expires >= started + timedelta(seconds=TTL_SECONDS)
    rig.wait(
        lambda: time.time() + alive.seconds_left(),
        lambda ends: ends > started.timestamp() + 4 * TTL_SECONDS,
        "one that was served all the time has its full time from now on, too",
    )
    rig.until_members("block", ready=2, claimed=2)
    assert store not in [one["metadata"]["name"] for one in rig.all("pods")], "its name is that of the leased volume"
    rig.change("leases", "kept", REVOKED)
    assert lease.released()["volumes"] == 1
    until_no_trace(rig, store, place)


@pytest.mark.unhappy("a volume that does not go: Unverified until it does")
def test_what_is_over_leaves_nothing_to_the_next_operator_and_what_lives_lives_without_its_pool(
    rig: OperatorRig,
) -> None:
    rig.start("a")
    rig.pool(2, "block", **{**BLOCK, "maxSize": 2})
    lease, gone = StoreLease(rig, "over").acquire("block"), StoreLease(rig, "gone").acquire("block")
    for one in (lease, gone):
        one.until_handed_over()
    rig.pool(1, "memory", **{**MEMORY, "maxSize": 1})
    alone = StoreLease(rig, "alone").acquire("memory")
    alone.put("kept", b"without its pool")
    alone.until_handed_over()
    places = volumes_of(rig)
    stuck = rig.get("persistentvolumeclaims", lease.member)["spec"]["volumeName"]
    volume = f"/api/v1/persistentvolumes/{stuck}"
    accepted(rig.plane.api.ask("PATCH", volume, {"metadata": {"finalizers": [FINALIZER]}}, MERGE))
    rig.replicas["a"].kill()
    said = rig.status("leases", "over")
    now, words = said["acquireTime"], {"status": "True", "reason": "Unverified", "message": "it is over"}
    conditions = [one | {"reason": "Expired"} for one in said["conditions"] if one["type"] == "Bound"]
    conditions.append({"type": "Released", "lastTransitionTime": now, **words})
    status = {**said, "members": None, "conditions": conditions, "receipt": {"unverified": [lease.member, stuck]}}
    accepted(rig.plane.api.ask("PATCH", f"{rig.path('leases', 'over')}/status", {"status": status}, MERGE))
    rig.delete("leases", "gone")
    rig.delete("instancepools", "memory")
    rig.change("instancepools", "block", {"targetSize": 0})

    rig.start("a")
    until_no_trace(rig, gone.member, places[gone.member])
    rig.until_gone("persistentvolumeclaims")
    rig.wait(lambda: unverified(rig, "over"), lambda names: names == [stuck], "only its volume is not seen to be gone")
    accepted(rig.plane.api.ask("PATCH", volume, {"metadata": {"finalizers": None}}, MERGE))
    until_no_trace(rig, lease.member, places[lease.member])
    rig.until_said("over", "Released", "Expired")
    assert unverified(rig, "over") == []

    assert (list(rig.epochs("alone")), alone.objects()) == ([alone.member], {"kept": b"without its pool"})
    rig.change("leases", "alone", REVOKED)
    assert alone.released()["unverified"] == []
    rig.until_gone("pods")
