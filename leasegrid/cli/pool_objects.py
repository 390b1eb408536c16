"""Pools as the API server keeps them, and who holds their members. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from leasegrid.api.common import Condition
from leasegrid.api.enums import ConditionStatus
from leasegrid.api.pool import InstancePoolSpec, InstancePoolStatus
from leasegrid.cli import words
from leasegrid.cli.lease_entries import pool_of
from leasegrid.cli.lease_objects import ENDED, LeaseObject, unreadable
from leasegrid.cli.tables import columns

HEADINGS = ("POOL", "RESOURCE", "MODE", "TARGET", "READY", "CLAIMED", "WARMING", "RESETTING", "FENCED", "CONDITIONS")
TOP_HEADINGS = ("POOL", "MEMBER", "LEASE", "HOLDER", "AGE", "EXPIRES", "NODE", "PURPOSE")
_GOOD = {"Ready": ConditionStatus.TRUE, "Degraded": ConditionStatus.FALSE, "CappedByMax": ConditionStatus.FALSE}


@dataclass(frozen=True)
class PoolObject:
    """One InstancePool. `generation` of the spec as it is now."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: InstancePoolSpec
    status: InstancePoolStatus

    @property
    def judged(self) -> bool:
        """True once the status speaks of the spec as it is now."""
        seen = [one.observed_generation for one in self.status.conditions if one.observed_generation is not None]
        return bool(seen) and max(seen) >= self.generation

    @property
    def unclaimed(self) -> int:
        """Live members that nobody holds."""
        counts = self.status.members
        return counts.warming + counts.ready + counts.resetting + counts.fenced

    def as_json(self) -> dict[str, Any]:
        """The pool as it stands in a document."""
        status = self.status.model_dump(by_alias=True, mode="json")
        return {
            "uid": self.uid,
            "namespace": self.namespace,
            "name": self.name,
            "resource": self.spec.resource.value,
            "operatingMode": self.spec.operating_mode.value,
            "target": self.status.effective_target,
            "replicas": self.status.replicas,
            "members": status["members"],
            "conditions": status["conditions"],
        }


@dataclass(frozen=True)
class Held:
    """One member under lease."""

    pool: str
    member: str
    node: str
    lease: LeaseObject


def read_pool(raw: dict[str, Any]) -> PoolObject:
    """The pool in an object of the API server; fields of a newer version are passed over. Raises ClusterError."""
    metadata = raw["metadata"]
    try:
        return PoolObject(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            spec=InstancePoolSpec.model_validate(raw.get("spec") or {}, extra="ignore"),
            status=InstancePoolStatus.model_validate(raw.get("status") or {}, extra="ignore"),
        )
    except ValidationError as error:
        raise unreadable("pool", metadata["name"], error) from error


def table(pools: Sequence[PoolObject]) -> list[str]:
    """The pools in columns; of their conditions what is not as it should be, else Ready."""
    return columns(HEADINGS, [_row(pool) for pool in pools])


def _row(pool: PoolObject) -> tuple[str, ...]:
    counts = pool.status.members
    shown = (counts.ready, counts.claimed, counts.warming, counts.resetting, counts.fenced)
    said = [_said(one) for one in pool.status.conditions if _GOOD.get(one.type, one.status) is not one.status]
    ready = next((one.reason for one in pool.status.conditions if one.type == "Ready"), "not judged yet")
    mode = pool.spec.operating_mode.value
    target = str(pool.status.effective_target)
    return (pool.name, pool.spec.resource.value, mode, target, *map(str, shown), "; ".join(said) or ready)


def _said(condition: Condition) -> str:
    what = condition.type if condition.status is ConditionStatus.TRUE else f"not {condition.type}"
    return f"{what} ({condition.reason})"


def held_members(leases: Sequence[LeaseObject], pools: Sequence[PoolObject]) -> list[Held]:
    """Every member under lease, by pool and name; members that were made for a lease alone belong to no pool."""
    uids = {(pool.namespace, pool.name): pool.uid for pool in pools}
    found = []
    for lease in leases:
        near = {name: uid for (namespace, name), uid in uids.items() if namespace == lease.namespace}
        if lease.phase not in ENDED:
            found += [Held(pool_of(one.name, near), one.name, one.node, lease) for one in lease.status.members]
    return sorted(found, key=lambda held: (held.lease.namespace, held.pool, held.member))


def top_lines(held: Sequence[Held], pools: Sequence[PoolObject], now: float) -> Iterator[str]:
    """A line for each pool and, below, the members that are held; `now` in UNIX seconds."""
    for pool in pools:
        counts = pool.status.members
        idle = f"{counts.ready} ready, {counts.warming} warming, {counts.resetting} resetting, {counts.fenced} fenced"
        yield f"{pool.name} ({pool.spec.resource.value}): {words.count(counts.claimed, 'member')} held; {idle}"
    if not held:
        yield "nobody holds a member"
        return
    yield from columns(TOP_HEADINGS, [_top_row(one, now) for one in held])


def _top_row(held: Held, now: float) -> tuple[str, ...]:
    lease = held.lease
    since = lease.acquired if lease.acquired is not None else lease.created
    left = "" if lease.expires is None else f"in {words.duration(max(0.0, lease.expires - now))}"
    age = words.duration(max(0.0, round(now - since)))
    return held.pool, held.member, lease.name, lease.spec.holder_identity, age, left, held.node, lease.spec.purpose


def held_json(held: Held) -> dict[str, Any]:
    """One held member as it stands in a document."""
    lease = held.lease
    return {
        "namespace": lease.namespace,
        "pool": held.pool,
        "member": held.member,
        "node": held.node,
        "lease": lease.name,
        "leaseUid": lease.uid,
        "holder": lease.spec.holder_identity,
        "purpose": lease.spec.purpose,
        "acquired": lease.acquired,
        "expires": lease.expires,
    }
