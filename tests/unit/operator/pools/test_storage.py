"""Which StorageClasses will do, and which pool is the default one."""

from typing import Any

import pytest

from leasegrid_operator.pools.defaults import default_pool
from leasegrid_operator.pools.storage import judge_storage
from tests.unit.operator.pools.examples import BLOCK, MEMORY, pool_spec


def storage(name: str, policy: str = "Delete", *, default: str = "", created: str = "") -> dict[str, Any]:
    """A StorageClass of a driver that has its own name."""
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    metadata = {"name": name, "annotations": annotations, "creationTimestamp": created}
    return {"metadata": metadata, "provisioner": f"{name}.example", "reclaimPolicy": policy}


NAMELESS: dict[str, object] = {"resource": "Block", "storage": {"size": "1Gi"}}


@pytest.mark.parametrize(
    ("spec", "classes", "reason"),
    [
        pytest.param({}, [], "", id="a pool without volumes needs none"),
        pytest.param(MEMORY, [], "", id="nor does one in memory"),
        pytest.param(BLOCK, [storage("fast")], "", id="a class that deletes will do"),
        pytest.param(BLOCK, [storage("fast", "Retain")], "StorageClassRetains", id="one that retains will not"),
        pytest.param(BLOCK, [storage("slow")], "StorageClassNotFound", id="nor one that is not there"),
        pytest.param(NAMELESS, [storage("slow")], "StorageClassNotFound", id="without a name there must be a default"),
        pytest.param(NAMELESS, [storage("slow", default="true")], "", id="which is taken"),
        pytest.param(
            NAMELESS,
            [storage("a", default="true", created="2026"), storage("b", "Retain", default="true", created="2027")],
            "StorageClassRetains",
            id="the newest of several",
        ),
    ],
)
def test_a_storage_class(spec: dict[str, object], classes: list[dict[str, Any]], reason: str) -> None:
    complaint = judge_storage(pool_spec(**spec), classes, []).complaint
    assert (complaint.reason.value if complaint is not None else "") == reason
    assert complaint is None or complaint.blocks


@pytest.mark.parametrize(
    ("drivers", "mode"),
    [([], "ReadWriteOnce"), ([{"metadata": {"name": "fast.example"}}], "ReadWriteOncePod")],
    ids=["without a CSI driver for one node", "with one for one pod"],
)
def test_a_volume_is_claimed(drivers: list[dict[str, Any]], mode: str) -> None:
    assert judge_storage(pool_spec(**BLOCK), [storage("fast")], drivers).access_mode == mode


@pytest.mark.parametrize(
    ("marked", "name", "complains"),
    [
        pytest.param({}, "", False, id="no pool"),
        pytest.param({"a": False}, "", False, id="none that is marked"),
        pytest.param({"a": True, "b": False}, "a", False, id="the one that is marked"),
        pytest.param({"b": True, "a": True}, "", True, id="none of two"),
    ],
)
def test_the_default_pool_is(marked: dict[str, bool], name: str, complains: bool) -> None:
    found, complaint = default_pool(marked)
    assert (found, complaint is not None) == (name, complains)
    assert complaint is None or not complaint.blocks
