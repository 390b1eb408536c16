"""Pools and pods to look at, told by what is special about them."""

from typing import Any

from leasegrid.api.pool import InstancePoolSpec
from leasegrid_operator.pools.pods import MemberTemplate, Owner
from leasegrid_operator.pools.templates import MemberSettings

OWNER = Owner("InstancePool", "cpu", "0123456789", "team")
LEASE = Owner("Lease", "mine", "abcdefghij", "team")
SETTINGS = MemberSettings(image="leasegrid:1", fabric_key="-key", notify="http://operator:8081/v1/hints")
BLOCK: dict[str, object] = {"resource": "Block", "storage": {"size": "1Gi", "storageClassName": "fast"}}
MEMORY: dict[str, object] = {"resource": "Memory", "storage": {"size": "1Gi"}}


def pool_spec(**fields: object) -> InstancePoolSpec:
    """A spec with these fields by their names in YAML."""
    return InstancePoolSpec.model_validate(fields)


def template(owner: Owner = OWNER, **fields: object) -> MemberTemplate:
    """The template of such a pool's members."""
    return MemberTemplate(owner, pool_spec(**fields), SETTINGS)


def flags(pod: dict[str, Any]) -> dict[str, str]:
    """The arguments of a member's container."""
    words = pod["spec"]["containers"][0]["args"]
    return dict(zip(words[::2], words[1::2], strict=True))


def seen_pod(status: dict[str, Any] | None = None, **metadata: object) -> dict[str, Any]:
    """A pod as the API server shows it."""
    body: dict[str, Any] = template().pod(7)
    body["metadata"] |= {"uid": "pod-uid", "creationTimestamp": "2026-01-01T00:00:00Z", **metadata}
    return {**body, "status": status or {"phase": "Pending"}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """The status of a pod whose container waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": "member", "state": state}]}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    """The status of a pod whose process ended."""
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    phase = "Failed" if code else "Succeeded"
    return {"phase": phase, "containerStatuses": [{"name": "member", "state": state}]}
