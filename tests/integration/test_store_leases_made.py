"""Stores that are made for one lease, and stores that cannot be made: whoever waits is told why."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.integration.store_holding import (
    BLOCK,
    CLASS,
    StoreLease,
    claims_of,
    kubelet_of,
    until_no_trace,
    volumes_of,
)
from tests.support.cluster.plane import accepted, quota, storage_class

MEBIBYTE = 1 << 20
NEVER = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def waiting(rig: OperatorRig, name: str, words: str) -> str:
    """Wait until a lease says that it waits, for that reason; the whole message."""
    said = rig.wait(lambda: rig.condition(name, "Bound"), lambda one: words in one.get("message", ""), words)
    assert said["status"] == "False"
    return str(said["message"])


@pytest.mark.unhappy("a StorageClass that retains; a quota on claims")
def test_a_lease_of_a_pool_that_can_make_no_volumes_hears_why(controlled: ControlPlane, tmp_path: Path) -> None:
    retaining = f"retaining-{uuid4().hex[:8]}"
    storage_class(controlled, retaining, reclaim="Retain")
    storage_class(controlled, CLASS)
    with operator_rig(controlled, tmp_path, real=True) as rig:
        rig.start()
        rig.pool(1, "retains", resource="Block", storage={"size": "8Mi", "storageClassName": retaining})
        rig.until_said("retains", "Degraded", "StorageClassRetains", "instancepools")
        rig.lease("patient", poolRefs=[{"name": "retains"}], onEmpty="Queue", queueTimeoutSeconds=300)
        rig.lease("hasty", poolRefs=[{"name": "retains"}], onEmpty="Fail")
        assert "whose policy is Delete" in waiting(rig, "patient", "reclaim policy")
        assert "reclaim policy" in rig.until_said("hasty", "Released", "PoolEmpty")
        assert claims_of(rig) == {}

        quota(controlled, rig.namespace, persistentvolumeclaims="1")
        rig.pool(2, "block", **BLOCK)
        first = StoreLease(rig, "first").acquire("block")
        rig.until_said("block", "Degraded", "Quota", "instancepools")
        rig.lease("second", poolRefs=[{"name": "block"}], onEmpty="Queue", queueTimeoutSeconds=300, holderKey=NEVER)
        assert "raise the quota" in waiting(rig, "second", "exceeded quota")
        assert len(claims_of(rig)) == 1
        # The volume that is given back is deleted, and not given to whoever waits: that one gets another.
        first.put("secret", b"of the first")
        path = f"/api/v1/namespaces/{rig.namespace}/resourcequotas/tests"
        accepted(controlled.api.ask("DELETE", path))
        (given,) = rig.until_bound("second")
        assert given != first.member
        places = volumes_of(rig)
        assert places[given] != places[first.member]
        assert first.objects() == {"secret": b"of the first"}


def test_stores_are_made_for_one_lease_and_end_with_it(controlled: ControlPlane, tmp_path: Path) -> None:
    storage_class(controlled, CLASS)
    template = tmp_path / "provision.json"
    small = {"resources": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}
    template.write_text(
        json.dumps(
            {
                "apiVersion": "leasegrid.dev/v1alpha1",
                "kind": "InstancePool",
                "metadata": {"name": "provision"},
                "spec": {**small, "resource": "Block", "storage": {"size": "1Mi", "storageClassName": CLASS}},
            }
        )
    )
    with operator_rig(controlled, tmp_path, real=True) as rig:
        rig.start(provision_template=str(template))
        made = [
            StoreLease(rig, kind.lower()).acquire(
                "", requirements={"resource": kind, "size": "8Mi"}, onEmpty="Provision"
            )
            for kind in ("Memory", "Block")
        ]
        for lease in made:
            lease.put("large", b"x" * (2 * MEBIBYTE))
            lease.until_handed_over()
        (claim,) = rig.all("persistentvolumeclaims")
        assert claim["spec"]["resources"]["requests"]["storage"] == "8Mi"
        block = made[1]
        store, place = block.member, volumes_of(rig)[block.member]

        rig.replicas["a"].kill()
        kubelet_of(rig).do(lambda kubelet: kubelet.kill(store))
        rig.start(provision_template=str(template))
        block.until_member(f"{store}-s1", 2)
        for lease in made:
            assert lease.objects() == {"large": b"x" * (2 * MEBIBYTE)}
        for lease in made:
            rig.change("leases", lease.name, {"revoke": {"graceSeconds": 0}})
            assert lease.released()["unverified"] == []
        until_no_trace(rig, store, place)
        rig.until_gone("pods")
