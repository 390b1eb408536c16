"""What leases change of pools, pods and volumes; see `leases.keeping.Estate` and `leases.hosting.Reaper`."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leasegrid.api.common import LeaseRequirements
from leasegrid.api.enums import ResourceKind, Reuse
from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import InstancePoolSpec, PoolStorage
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal
from leasegrid.leasing.roster import Member
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.leases.asking import KnownPools
from leasegrid_operator.logs import Action, log
from leasegrid_operator.pools.events import PoolEvent
from leasegrid_operator.pools.keeping import PoolKeeper
from leasegrid_operator.pools.pods import LEASE_KIND, MemberTemplate, Owner
from leasegrid_operator.pools.registry import pool_key
from leasegrid_operator.pools.volumes import StoreMember
from leasegrid_operator.resources import ObjectKey
from leasegrid_operator.stores import LeaseStores, Surroundings
from tasklet_runner.fabric.protocol import Receipt

logger = logging.getLogger(__name__)

DEFAULT_VOLUME_BYTES = 1 << 30
"""Of a block member that is made for a lease, where neither the lease nor the operator's template says more."""


@dataclass(frozen=True)
class Allowed:
    """`provision`: the shape of members that no pool describes; `most_members`: so many may one lease ask for."""

    provision: InstancePoolSpec
    most_members: int


class NamespaceEstate:
    """Of one namespace. `attach` gives it what it changes."""

    def __init__(self, namespace: str, cluster: Cluster, allowed: Allowed) -> None:
        self._namespace = namespace
        self._cluster = cluster
        self._allowed = allowed
        self._pools: PoolKeeper
        self._engine: LeaseEngine
        self._stores: LeaseStores

    def attach(self, pools: PoolKeeper, engine: LeaseEngine) -> None:
        """The pools and the engine of the namespace."""
        self._pools, self._engine = pools, engine
        self._stores = LeaseStores(
            Surroundings(self._cluster, engine.parts, pools.members, pools.reaper, self._template)
        )

    def known_pools(self) -> KnownPools:
        """See `Estate`."""
        table = self._engine.parts.pools
        kept = [one for one in self._pools.pools.all() if not one.provisioned and one.pool.name in table]
        specs = {one.pool.name: one.pool.spec for one in kept}
        return KnownPools(specs, self._pools.pools.default, self._allowed.most_members)

    def provision(self, key: ObjectKey, uid: str, spec: LeaseSpec) -> str:
        """See `Estate`."""
        owner = Owner(LEASE_KIND, key.name, uid, key.namespace)
        known = self._pools.pools.named(spec.pool_refs[0].name) if spec.pool_refs else None
        self._pools.provide(owner, provisioned_spec(self._allowed.provision, spec, known.pool.spec if known else None))
        return pool_key(owner)

    def shelter(self, key: ObjectKey, uid: str, spec: LeaseSpec) -> None:
        """See `Inheritance`."""
        if self._pools.members.strays_of(uid, ""):
            self.provision(key, uid, spec)

    def belongs(self, record: LeaseRecord) -> None:
        """See `Estate`."""
        self._stores.own(record, [name for name, one in record.held.items() if one.member.shape.reuse != "Reset"])

    def resume(self, record: LeaseRecord, names: Iterable[str]) -> bool:
        """See `Inheritance`."""
        return self._stores.resume(record, names)

    def owns_volumes(self, uid: str) -> bool:
        """See `Inheritance`."""
        return any(claim.bound and claim.owner_uid == uid for claim in self._pools.reaper.claims())

    def lost(self, member: Member, cause: str) -> None:
        """A member is gone; `tick` sees to what it served."""
        log(logger, logging.INFO, Action.MEMBER_LOST, cause, member=member.name, lease=member.lease)

    def ended(self, record: LeaseRecord, receipt: Receipt, message: str, *, removed: bool) -> None:
        """See `Estate`."""
        self._pools.withdraw(record.uid)
        kept = self._pools.pools.named(record.pools[0]) if record.pools else None
        if removed and kept is not None:
            words = f"the lease {record.request.request_id} ({record.uid}) has ended: {message}; {_told(receipt)}"
            self._pools.teller.events.note(kept.owner, PoolEvent.RELEASED, words)
            self._engine.parts.changed()

    async def reap(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """See `Reaper`."""
        self._stores.own(record, [one.member.name for one in held])
        return await self._stores.reap(record)

    def unseen(self, name: str) -> bool:
        """True while a volume of that name, which an ended lease had, is there for all that is known."""
        return self._stores.unseen(name)

    def tick(self) -> None:
        """Have the volumes of living leases served; call it some times a second."""
        self._stores.tick()

    def sweep(self, released: Sequence[str]) -> None:
        """End what leases that are over by their status, of these uids, have left behind."""
        over = set(released)
        for claim in self._pools.reaper.claims():
            if claim.owner_uid in over:
                self._pools.reaper.end_claim(claim)
        for facts in self._pools.members.owned_by(over):
            self._pools.reaper.end(facts)

    async def close(self) -> None:
        """Give up what is under way."""
        await self._stores.close()

    def _template(self, record: LeaseRecord, store: StoreMember) -> MemberTemplate | None:
        """That of the store's pool, or of the lease that had its members made."""
        pool = store.claim.pool if store.claim is not None else ""
        kept = self._pools.pools.named(pool) or self._pools.pools.find(record.uid)
        # Where the pool is gone, a lease's own members may be of another kind than those that it had of it.
        return kept.template if kept is not None and kept.pool.spec.resource is ResourceKind.BLOCK else None


def provisioned_spec(base: InstancePoolSpec, lease: LeaseSpec, named: InstancePoolSpec | None) -> InstancePoolSpec:
    """The shape of members that are made for one lease: the operator's own, as large as the lease requires, or as
    those of the first pool that it names. Pure.
    """
    shape: dict[str, object]
    once: dict[str, object] = {"target_size": 0, "min_size": 0, "max_size": lease.count, "reuse": Reuse.REPLACE}
    if named is not None and lease.requirements is None:
        shape = {name: getattr(named, name) for name in ("resource", "resources", "requests", "storage")}
        return base.model_copy(update=once | shape)
    needs = lease.requirements or LeaseRequirements()
    least = base.resources
    # Both are parsed already: parsed again, millicores would be taken for cores.
    sizes = {"cpu": max(needs.cpu or 0, least.cpu), "memory": max(needs.memory or 0, least.memory)}
    resources = least.model_copy(update=sizes)
    shape = {"resource": needs.resource, "resources": resources, "storage": _storage(base, needs)}
    return base.model_copy(update=once | shape)


def _storage(base: InstancePoolSpec, needs: LeaseRequirements) -> PoolStorage | None:
    if needs.resource is ResourceKind.CPU:
        return None
    known = base.storage
    if needs.size is None and (known is not None or needs.resource is ResourceKind.MEMORY):
        return known
    return PoolStorage(
        size=needs.size or DEFAULT_VOLUME_BYTES, storage_class_name=known.storage_class_name if known else None
    )


def _told(receipt: Receipt) -> str:
    unverified = f", unverified: {len(receipt.unverified)}" if receipt.unverified else ""
    return f"members: {len(receipt.members)}, tasklets: {receipt.tasklets}, volumes: {receipt.volumes}{unverified}"
