"""Whether a StorageClass will do for Block members, and how their volumes are claimed. Pure.

A class whose reclaim policy is not Delete would keep what a tenant wrote after the lease is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leasegrid.api.enums import ResourceKind
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_state import Complaint
from leasegrid.rules.reasons import PoolReason

Body = Mapping[str, Any]

DEFAULT_CLASS_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
ONE_POD, ONE_NODE = "ReadWriteOncePod", "ReadWriteOnce"


@dataclass(frozen=True)
class StorageVerdict:
    """`access_mode`: one pod at a time where the class has a CSI driver, which can hold to that."""

    access_mode: str = ONE_NODE
    complaint: Complaint | None = None


def judge_storage(spec: InstancePoolSpec, classes: Sequence[Body], drivers: Sequence[Body]) -> StorageVerdict:
    """What the cluster's StorageClasses and CSIDrivers mean for a pool; all is well for one without volumes."""
    if spec.resource is not ResourceKind.BLOCK or spec.storage is None:
        return StorageVerdict()
    name = spec.storage.storage_class_name
    found = _class(name, classes)
    if found is None:
        return StorageVerdict(complaint=_missing(name))
    if found.get("reclaimPolicy", "Delete") != "Delete":
        return StorageVerdict(complaint=_retaining(found))
    has_driver = any(one["metadata"]["name"] == found.get("provisioner") for one in drivers)
    return StorageVerdict(ONE_POD if has_driver else ONE_NODE)


def _class(name: str | None, classes: Sequence[Body]) -> Body | None:
    if name is not None:
        return next((one for one in classes if one["metadata"]["name"] == name), None)
    defaults = [one for one in classes if _is_default(one)]
    # Of several the server takes the newest, too.
    return max(defaults, key=lambda one: one["metadata"].get("creationTimestamp", ""), default=None)


def _is_default(one: Body) -> bool:
    return (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS_ANNOTATION) == "true"


def _missing(name: str | None) -> Complaint:
    what = f"there is no StorageClass {name}" if name else "no StorageClass is marked as the default"
    message = f"{what}: make it, or make a pool that names another in spec.storage.storageClassName"
    return Complaint(PoolReason.NO_STORAGE_CLASS, message, blocks=True)


def _retaining(found: Body) -> Complaint:
    name, policy = found["metadata"]["name"], found["reclaimPolicy"]
    message = (
        f"the reclaim policy of the StorageClass {name} is {policy}: what tenants wrote would stay after their leases; "
        "make a pool that names one whose policy is Delete in spec.storage.storageClassName"
    )
    return Complaint(PoolReason.VOLUMES_RETAINED, message, blocks=True)
