"""LocalFabric: leases of processes of this machine, under the rules that the cluster obeys too."""

import asyncio
from types import TracebackType
from typing import Self

import msgspec

from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import MemberPoint
from leasegrid.local.engine import END_SECONDS, Engine, LocalSettings
from leasegrid.local.launching import launch
from leasegrid.local.requests import serving_pools
from leasegrid.local.runtime import RuntimeDirectory
from leasegrid.local.state import StateDirectory, new_uid
from leasegrid.local.store_pools import check_shuffles
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError
from tasklet_runner.wire.member import Role


class PoolStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Live members by state, leases that live, and what is wrong with pools, in words."""

    members: dict[str, int]
    leases: int
    troubles: tuple[str, ...] = ()


class LocalFabric:
    """Implements `Fabric`. Use it as an async context manager; at its end nothing of it is left."""

    def __init__(self, state: StateDirectory, settings: LocalSettings | None = None) -> None:
        self._settings = settings or LocalSettings()
        self._state = state
        self._engine: Engine | None = None
        self._closed: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def runtime(self) -> RuntimeDirectory:
        """The run's own directory, for sockets and scratch of its other parts."""
        return self._running.local.processes.runtime

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where this machine gives less than the pools of the file ask for."""
        return tuple(self._running.local.pools.warnings)

    @property
    def timeline(self) -> tuple[MemberPoint, ...]:
        """How the counts of members changed since the start."""
        return tuple(self._running.local.shared.roster.timeline)

    def statistics(self) -> PoolStatistics:
        """A snapshot, cheap enough for ten a second."""
        parts = self._running.local.shared
        pools = parts.pools.values()
        return PoolStatistics(
            members=parts.roster.counts(),
            leases=len(parts.table),
            troubles=tuple(f"{pool.name}: {pool.failures.message}" for pool in pools if pool.failures.count),
        )

    @property
    def remains(self) -> tuple[int, ...]:
        """Processes that had to be killed at the end, because they did not end by themselves."""
        return self._running.remains

    async def start(self) -> None:
        """Start the zygote and order the first members; returns before they are ready.

        Raises StateDirectoryError, UnreachableError.
        """
        launched = self._settings.launched or launch(self._settings.environment)
        try:
            self._engine = Engine(self._state, self._settings, launched)
            self._engine.begin()
        except BaseException:
            self._engine = None
            await launched.zygote.close(END_SECONDS)
            launched.runtime.remove()
            raise

    def check(self, plan: Plan) -> None:
        """Raises UnsupportedError for a plan whose stages would wait for ever for each other's memory."""
        check_shuffles(plan, self._running.local.pools.space())

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        """Bind members; see `Fabric.acquire`. A request without pools is served by the default pool, or by members of
        its own shape that are made for it.
        """
        leases = self._running.leases
        record = leases.parts.table.of_request(request.request_id) or self._enter(request)
        try:
            await asyncio.shield(record.settled)
        except LeaseGridError:
            # Nobody learns its uid, and the same request may be tried again.
            leases.parts.table.forget(record)
            raise
        return leases.view(record)

    async def watch(self, uid: str, version: int) -> LeaseView:
        """See `Fabric.watch`."""
        return await self._running.leases.watch(uid, version)

    async def renew(self, uid: str) -> LeaseView:
        """See `Fabric.renew`."""
        return await self._running.leases.renew(uid)

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """See `Fabric.resize`."""
        return await self._running.leases.resize(uid, count, give_back)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """See `Fabric.report_lost`."""
        return await self._running.leases.report_lost(uid, member, reason)

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """See `Fabric.release`."""
        return await self._running.leases.release(uid, reason)

    async def close(self) -> None:
        """Release every lease, end every process, remove the runtime directory. A second call waits for the first."""
        if self._engine is None:
            return
        if self._closed is None:
            self._closed = asyncio.create_task(self._engine.end(), name="close fabric")
        await asyncio.shield(self._closed)

    @property
    def _running(self) -> Engine:
        if self._engine is None:
            raise LeaseEndedError("the fabric was not started", remedy="use it as an async context manager")
        return self._engine

    def _enter(self, request: LeaseRequest) -> LeaseRecord:
        self._check_parent(request)
        pools, provisioned = self._pools_of(request)
        leases = self._running.leases
        uid = self._resumed(request, pools[0]) or new_uid()
        record = leases.enter(leases.record(uid, request, pools, provisioned=provisioned))
        if not record.held and self._running.local.pools.by_name[pools[0]].shape.role is not Role.CPU:
            # A store that is made for a lease is waited for: it is ordered now, and not at the pools' next turn.
            self._running.provision()
        return record

    def _check_parent(self, request: LeaseRequest) -> None:
        parent = self._running.leases.parts.table.of_request(request.parent) if request.parent else None
        if request.parent and (parent is None or parent.ended):
            state = "is not there" if parent is None else f"has ended: {parent.ended}"
            raise LeaseEndedError(
                f"the parent of {request.request_id}, the lease {request.parent}, {state}",
                remedy="acquire the parent first",
            )

    def _resumed(self, request: LeaseRequest, pool: str) -> str:
        """The uid of the Block lease of this name that an earlier run has left, whose volumes are taken over; or empty.

        Raises StateDirectoryError when another run has it.
        """
        local = self._running.local
        shape = local.pools.by_name[pool].shape
        if shape.role is not Role.BLOCK:
            return ""
        row = self._state.kept_store(request.namespace, request.request_id)
        return row.uid if row is not None and local.volumes.resume(row, pool, shape) else ""

    def _pools_of(self, request: LeaseRequest) -> tuple[tuple[str, ...], bool]:
        """The pools that may serve a request, and whether members are made for it."""
        pools = serving_pools(request, self._running.local.pools)
        first = any(self._first_come(pool) for pool in pools)
        unnamed = not request.pools and pools[0].spec.target_size == 0
        return tuple(pool.name for pool in pools), first or unnamed or request.on_empty == "Provision"

    def _first_come(self, pool: Pool) -> bool:
        """A claim that comes while the pool's very first members warm up waits for them: they are made for this run."""
        return pool.name not in self._running.local.shared.roster.warmed and not pool.failures.count
