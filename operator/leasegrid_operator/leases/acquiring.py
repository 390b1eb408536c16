"""Leases that programs ask for: each is an object first, and then the engine's like any other."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from leasegrid.api.common import API_VERSION
from leasegrid.api.enums import ResourceKind
from leasegrid.api.quantities import format_bytes
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import LeaseRecord
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import AlreadyExistsError, NotFoundError
from leasegrid_operator.estate import NamespaceEstate
from leasegrid_operator.leases.asking import misfit_of
from leasegrid_operator.leases.keeping import LeaseKeeping
from leasegrid_operator.leases.reading import read_lease
from leasegrid_operator.resources import LEASES, ObjectKey
from tasklet_runner.doors.budget import Budget
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import LeaseGridError, NotLeaderError, RefusedError, UnsupportedError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

SECONDS_AFTER_RELEASE = 300

CREATIONS = 32
"""New leases on their way to the API server at a time, of all namespaces; one has half of them where it is alone. It
makes no more per second with more, and who comes next waits for all that it was given.
"""

MOST_WAITING = 4096


def fair_creations() -> Budget:
    """The places of all namespaces, which are served in turn."""
    return Budget("a new lease to be made", CREATIONS, MOST_WAITING)


@dataclass(frozen=True)
class NamespaceDesk:
    """Implements `Fabric` for one namespace: the first half of `acquire` is an object, all else is the engine's.

    `closing` is set when this replica ceases to lead. `creations`: see `fair_creations`. `owner`: to whom the objects
    belong, as an owner reference.
    """

    estate: NamespaceEstate
    leases: LeaseKeeping
    engine: LeaseEngine
    cluster: Cluster
    closing: asyncio.Event
    creations: Budget = field(default_factory=fair_creations)
    owner: Mapping[str, object] | None = None

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
        record = self.engine.parts.table.of_request(lease_name(request.request_id))
        if record is None:
            record = await self._record(request)
        if record.request.holder_key != request.holder_key:
            raise _taken(request.request_id)
        try:
            await asyncio.shield(record.settled)
        except LeaseGridError:
            # Nobody learns its uid, and the same request may be tried again.
            self.engine.parts.table.forget(record)
            raise
        return self.engine.view(record)

    async def watch(self, uid: str, version: int) -> LeaseView:
        """See `Fabric.watch`."""
        return await self.engine.watch(uid, version)

    async def renew(self, uid: str) -> LeaseView:
        """See `Fabric.renew`."""
        return await self.engine.renew(uid)

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """See `Fabric.resize`."""
        return await self.engine.resize(uid, count, give_back)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """See `Fabric.report_lost`."""
        return await self.engine.report_lost(uid, member, reason)

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """See `Fabric.release`."""
        return await self.engine.release(uid, reason)

    async def withdraw(self, request: LeaseRequest, reason: str) -> None:
        """End the lease of that request, wherever it is: still waiting, or made and not yet known. Raises ClusterError
        when it may be there and cannot be ended.
        """
        name = lease_name(request.request_id)
        record = self.engine.parts.table.of_request(name)
        if record is not None:
            await asyncio.shield(self.engine.endings.begin(record, reason))
            return
        with suppress(NotFoundError):
            await self.cluster.delete(LEASES, ObjectKey(request.namespace, name))

    async def _record(self, request: LeaseRequest) -> LeaseRecord:
        misfit = misfit_of(request, self.estate.known_pools())
        if misfit is not None:
            raise UnsupportedError(misfit[0], remedy=misfit[1])
        body = lease_body(request, self.owner)
        with self.leases.expecting(lease_name(request.request_id), request):
            async with self.creations.share(1, request.namespace):
                made = await self._made(request, body)
            return await self.leases.entered(read_lease(made))

    async def _made(self, request: LeaseRequest, body: dict[str, object]) -> dict[str, object]:
        try:
            return await self.cluster.create(LEASES, body)
        except AlreadyExistsError:
            return await self._again(request, body)

    async def _again(self, request: LeaseRequest, body: dict[str, object]) -> dict[str, object]:
        """The object of an earlier try; one of a try that was refused, and had nothing, makes room for this one."""
        key = ObjectKey(request.namespace, lease_name(request.request_id))
        there = await self.cluster.get(LEASES, key)
        facts = read_lease(there)
        if facts.spec is None or (facts.spec.holder_key or "") != request.holder_key:
            raise _taken(request.request_id)
        if not facts.written.released:
            return there
        await self.cluster.delete(LEASES, key, uid=facts.uid)
        return await self.cluster.create(LEASES, body)


def lease_name(request_id: str) -> str:
    """The name of the object: the request id where it is one, else a hash of it."""
    if _NAME.fullmatch(request_id):
        return request_id
    return f"lease-{hashlib.sha256(request_id.encode()).hexdigest()[:32]}"


def lease_body(request: LeaseRequest, owner: Mapping[str, object] | None = None) -> dict[str, object]:
    """The object of a request that came by the broker, or that a job needs."""
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
    metadata: dict[str, object] = {"name": lease_name(request.request_id), "namespace": request.namespace}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}


def _store_requirements(request: LeaseRequest) -> dict[str, object]:
    wanted: dict[str, object] = {"resource": request.resource}
    return wanted | ({"size": format_bytes(request.size)} if request.size else {})


def _taken(request_id: str) -> RefusedError:
    return RefusedError("Conflict", f"another holder has a lease of the request {request_id}", remedy="draw another id")
