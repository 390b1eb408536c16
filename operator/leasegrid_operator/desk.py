"""What stands behind the broker's door (`broker.desk.Desk`): leases as objects, and the engine of their namespace."""

import asyncio
import hashlib
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.api.common import API_VERSION
from leasegrid.api.enums import ResourceKind
from leasegrid.api.quantities import format_bytes
from leasegrid.leasing.leases import LeaseRecord
from leasegrid_operator.errors import AlreadyExistsError
from leasegrid_operator.leadership import Leadership
from leasegrid_operator.leases.asking import misfit_of
from leasegrid_operator.leases.reading import read_lease
from leasegrid_operator.reign import Reign
from leasegrid_operator.releasing import release_members
from leasegrid_operator.resources import LEASES, ObjectKey
from leasegrid_operator.rooms import Premises, Room
from leasegrid_operator.world import World
from tasklet_runner.fabric.protocol import Fabric, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import LeaseGridError, NotLeaderError, RefusedError, UnsupportedError
from tasklet_runner.wire.member import Hint
from tasklet_runner.wire.statements import Capability

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

SECONDS_AFTER_RELEASE = 300


class OperatorDesk:
    """Implements `Desk`; `reign` is there while this replica leads."""

    def __init__(self, leadership: Leadership, key: Ed25519PrivateKey, premises: Premises, world: World) -> None:
        self._world = world
        self._leadership = leadership
        self._key = key
        self.premises = premises
        self.reign: Reign | None = None

    @property
    def is_leader(self) -> bool:
        """See `Desk`."""
        return self.reign is not None and self.reign.keeps and self._leadership.is_leader

    @property
    def leader_address(self) -> str:
        """See `Desk`."""
        return self._leadership.leader_address

    @property
    def fabric_key(self) -> Ed25519PrivateKey:
        """See `Desk`."""
        return self._key

    def now(self) -> float:
        """See `Desk`."""
        return self.premises.clock.now()

    def fabric(self, namespace: str) -> Fabric:
        """See `Desk`."""
        if self.reign is None or not self.is_leader:
            raise NotLeaderError(self.leader_address)
        return NamespaceDesk(self.reign.room(namespace), self.premises, self.reign.closing)

    async def release(self, namespace: str, capability: Capability, reason: str) -> Receipt:
        """See `Desk`."""
        names = {grant.member for grant in capability.members}
        endpoints = self._world.endpoints(namespace, names, self.premises.members.port)
        return await release_members(capability, endpoints, self.premises.signer, reason)

    def hinted(self, hint: Hint) -> None:
        """See `Desk`."""
        self.premises.office.metrics.hinted()
        if self.reign is not None:
            self.reign.hinted(hint)


@dataclass(frozen=True)
class NamespaceDesk:
    """Implements `Fabric` for one namespace: the first half of `acquire` is an object, all else is the engine's.

    `closing` is set when this replica ceases to lead.
    """

    room: Room
    premises: Premises
    closing: asyncio.Event

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        """See `Fabric.acquire`. Also raises RefusedError: another holder has a lease of that request id; and
        NotLeaderError when this replica ceases to lead: the next leader goes on with the request.
        """
        work = asyncio.create_task(self._acquired(request))
        closing = asyncio.create_task(self.closing.wait())
        try:
            await asyncio.wait((work, closing), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise NotLeaderError("")
            return work.result()
        finally:
            work.cancel()
            closing.cancel()

    async def _acquired(self, request: LeaseRequest) -> LeaseView:
        record = self.room.engine.parts.table.of_request(lease_name(request.request_id))
        if record is None:
            record = await self._record(request)
        if record.request.holder_key != request.holder_key:
            raise _taken(request.request_id)
        try:
            await asyncio.shield(record.settled)
        except LeaseGridError:
            # Nobody learns its uid, and the same request may be tried again.
            self.room.engine.parts.table.forget(record)
            raise
        return self.room.engine.view(record)

    async def watch(self, uid: str, version: int) -> LeaseView:
        """See `Fabric.watch`."""
        return await self.room.engine.watch(uid, version)

    async def renew(self, uid: str) -> LeaseView:
        """See `Fabric.renew`."""
        return await self.room.engine.renew(uid)

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """See `Fabric.resize`."""
        return await self.room.engine.resize(uid, count, give_back)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """See `Fabric.report_lost`."""
        return await self.room.engine.report_lost(uid, member, reason)

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """See `Fabric.release`."""
        return await self.room.engine.release(uid, reason)

    async def _record(self, request: LeaseRequest) -> LeaseRecord:
        misfit = misfit_of(request, self.room.estate.known_pools())
        if misfit is not None:
            raise UnsupportedError(misfit[0], remedy=misfit[1])
        body = lease_body(request)
        with self.room.leases.expecting(lease_name(request.request_id), request):
            try:
                made = await self.premises.office.cluster.create(LEASES, body)
            except AlreadyExistsError:
                made = await self._again(request, body)
            return await self.room.leases.entered(read_lease(made))

    async def _again(self, request: LeaseRequest, body: dict[str, object]) -> dict[str, object]:
        """The object of an earlier try; one of a try that was refused, and had nothing, makes room for this one."""
        cluster, key = self.premises.office.cluster, ObjectKey(request.namespace, lease_name(request.request_id))
        there = await cluster.get(LEASES, key)
        facts = read_lease(there)
        if facts.spec is None or (facts.spec.holder_key or "") != request.holder_key:
            raise _taken(request.request_id)
        if not facts.written.released:
            return there
        await cluster.delete(LEASES, key, uid=facts.uid)
        return await cluster.create(LEASES, body)


def lease_name(request_id: str) -> str:
    """The name of the object: the request id where it is one, else a hash of it."""
    if _NAME.fullmatch(request_id):
        return request_id
    return f"lease-{hashlib.sha256(request_id.encode()).hexdigest()[:32]}"


def lease_body(request: LeaseRequest) -> dict[str, object]:
    """The object of a request that came by the broker."""
    spec: dict[str, object] = {
        "count": request.count,
        "minCount": request.min_count,
        "elastic": request.elastic,
        "ttlSeconds": request.ttl_seconds,
        "maxLifetimeSeconds": request.max_lifetime_seconds,
        "holderIdentity": request.holder_identity,
        "purpose": request.purpose,
        "holderKey": request.holder_key,
        "onEmpty": request.on_empty,
        "queueTimeoutSeconds": request.queue_timeout_seconds,
        "priority": request.priority,
        "ttlSecondsAfterReleased": SECONDS_AFTER_RELEASE,
    }
    if request.parent:
        spec["parentRef"] = {"name": request.parent}
    if request.pools:
        spec["poolRefs"] = [{"name": name} for name in request.pools]
    elif request.resource != ResourceKind.CPU:
        spec["requirements"] = _store_requirements(request)
    elif request.slots > 1 or request.memory or request.cpu_features:
        spec["requirements"] = {
            "cpu": str(request.slots),
            "memory": format_bytes(request.memory),
            "cpuFeatures": list(request.cpu_features),
        }
    metadata = {"name": lease_name(request.request_id), "namespace": request.namespace}
    return {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}


def _store_requirements(request: LeaseRequest) -> dict[str, object]:
    wanted: dict[str, object] = {"resource": request.resource}
    return wanted | ({"size": format_bytes(request.size)} if request.size else {})


def _taken(request_id: str) -> RefusedError:
    return RefusedError("Conflict", f"another holder has a lease of the request {request_id}", remedy="draw another id")
