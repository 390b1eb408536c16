"""What leases change of pools, pods and volumes; see `leases.keeping.Estate` and `leases.hosting.Reaper`."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence

from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import InstancePoolSpec, MemberResources, PoolStorage
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal
from leasegrid.leasing.roster import Member
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import ClusterError, NotFoundError
from leasegrid_operator.leases.asking import KnownPools
from leasegrid_operator.logs import Action, log
from leasegrid_operator.pools.events import PoolEvent
from leasegrid_operator.pools.keeping import PoolKeeper
from leasegrid_operator.pools.pods import LEASE_KIND, Owner
from leasegrid_operator.pools.registry import pool_key
from leasegrid_operator.pools.volumes import StoreMember, end_store, reparent, succeed
from leasegrid_operator.resources import ObjectKey
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.member import MemberState

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
GONE_SECONDS = 60.0
"""A volume that is not gone by then stands in the receipt as unverified."""


class NamespaceEstate:
    """Of one namespace. `attach` gives it what it changes. Stores are kept by lease, each by its newest pod's name."""

    def __init__(self, namespace: str, cluster: Cluster, provision: InstancePoolSpec) -> None:
        self._namespace = namespace
        self._cluster = cluster
        self._provision = provision
        self._pools: PoolKeeper
        self._engine: LeaseEngine
        self._stores: dict[str, dict[str, StoreMember]] = {}
        self._coming: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, pools: PoolKeeper, engine: LeaseEngine) -> None:
        """The pools and the engine of the namespace."""
        self._pools, self._engine = pools, engine

    def known_pools(self) -> KnownPools:
        """See `Estate`."""
        table = self._engine.parts.pools
        kept = [one for one in self._pools.pools.all() if not one.provisioned and one.pool.name in table]
        return KnownPools({one.pool.name: one.pool.spec for one in kept}, self._pools.pools.default)

    def provision(self, key: ObjectKey, uid: str, spec: LeaseSpec) -> str:
        """See `Estate`."""
        owner = Owner(LEASE_KIND, key.name, uid, key.namespace)
        self._pools.provide(owner, provisioned_spec(self._provision, spec))
        return pool_key(owner)

    def belongs(self, record: LeaseRecord) -> None:
        """See `Estate`."""
        stores = self._stores.setdefault(record.uid, {})
        for held in record.held.values():
            if held.member.shape.reuse == "Reset" or held.member.name in stores:
                continue
            found = self._pools.members.find(held.member.name)
            if found is not None:
                store = StoreMember(found[1].facts, self._pools.reaper.claim_of(held.member.name))
                stores[held.member.name] = store
                self._beside(self._hand_over(store, _owner(record)))
        if not stores:
            del self._stores[record.uid]

    def lost(self, member: Member, cause: str) -> None:
        """A member is gone. One with a volume gets a successor on it while its lease lives."""
        record = self._engine.parts.table.get(member.lease)
        store = self._stores.get(member.lease, {}).get(member.name)
        log(logger, logging.INFO, Action.MEMBER_LOST, cause, member=member.name, lease=member.lease)
        if record is not None and store is not None and store.claim is not None:
            self._beside(self._succeed(record, store))

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
        del held
        stores = list(self._stores.pop(record.uid, {}).values())
        gone = await asyncio.gather(*(self._end(store) for store in stores))
        volumes = [store for store, is_gone in zip(stores, gone, strict=True) if is_gone and store.claim is not None]
        return Disposal(
            volumes=len(volumes),
            volume_bytes=sum(self._bytes_of(record) for _ in volumes),
            unverified=tuple(store.pod.name for store, is_gone in zip(stores, gone, strict=True) if not is_gone),
        )

    def tick(self) -> None:
        """Bind successors that are ready to the lease whose volume they serve."""
        for name, uid in list(self._coming.items()):
            member, record = self._engine.parts.roster.find(name), self._engine.parts.table.get(uid)
            if record is None or record.ended:
                del self._coming[name]
            elif member is not None and member.state is MemberState.READY:
                del self._coming[name]
                self._beside(self._rejoin(record, member))

    def sweep(self, released: Sequence[str]) -> None:
        """End what leases that are over by their status, of these uids, have left behind."""
        for claim in self._pools.reaper.claims():
            if claim.owner_uid in released:
                self._pools.reaper.end_claim(claim)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hand_over(self, store: StoreMember, owner: Owner) -> None:
        while self._engine.parts.table.get(owner.uid) is not None:
            try:
                await reparent(self._cluster, store, owner)
            except NotFoundError:
                return  # it is gone, and whoever watches pods and claims says so
            except ClusterError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _succeed(self, record: LeaseRecord, store: StoreMember) -> None:
        kept = self._pools.pools.named(store.pod.pool)
        while kept is not None and not record.ended:
            try:
                name = await succeed(self._cluster, kept.template, store, _owner(record))
            except NotFoundError as error:
                log(logger, logging.WARNING, Action.MEMBER_LOST, f"with its data: {error}", member=store.pod.name)
                return
            except ClusterError:
                name = None
            if name is not None:
                self._coming[name] = record.uid
                self._stores.get(record.uid, {}).pop(store.pod.name, None)
                self._claims_follow(record.uid, name, store)
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _claims_follow(self, uid: str, name: str, store: StoreMember) -> None:
        """The claim stays in the lease's books while no pod serves it: it has to go with the lease all the same."""
        if uid in self._stores:
            self._stores[uid][name] = store

    async def _rejoin(self, record: LeaseRecord, member: Member) -> None:
        store = self._stores.get(record.uid, {}).get(member.name)
        found = self._pools.members.find(member.name)
        if store is not None and found is not None:
            self._stores[record.uid][member.name] = StoreMember(found[1].facts, store.claim)
        if await self._engine.parts.binder.bind(record, [member]):
            record.touch()
            self._engine.parts.ledger.write_down(record)
        else:
            self._coming[member.name] = record.uid

    async def _end(self, store: StoreMember) -> bool:
        try:
            return await end_store(self._cluster, store, GONE_SECONDS)
        except ClusterError:
            return False

    def _bytes_of(self, record: LeaseRecord) -> int:
        kept = self._pools.pools.named(record.pools[0]) if record.pools else None
        storage = kept.pool.spec.storage if kept is not None else None
        return storage.size if storage is not None else 0

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def provisioned_spec(base: InstancePoolSpec, lease: LeaseSpec) -> InstancePoolSpec:
    """The shape of members that are made for one lease: the operator's own, as large as the lease requires. Pure."""
    needs = lease.requirements
    bounds = {"target_size": 0, "min_size": 0, "max_size": lease.count}
    if needs is None:
        return base.model_copy(update=bounds)
    resources = MemberResources(
        cpu=max(needs.cpu or 0, base.resources.cpu), memory=max(needs.memory or 0, base.resources.memory)
    )
    storage = PoolStorage(size=needs.size) if needs.size else base.storage
    shape = {"resource": needs.resource, "resources": resources, "storage": storage}
    return base.model_copy(update=bounds | shape)


def _owner(record: LeaseRecord) -> Owner:
    return Owner(LEASE_KIND, record.request.request_id, record.uid, record.request.namespace)


def _told(receipt: Receipt) -> str:
    unverified = f", {len(receipt.unverified)} unverified" if receipt.unverified else ""
    return f"{len(receipt.members)} members, {receipt.tasklets} tasklets, {receipt.volumes} volumes{unverified}"
