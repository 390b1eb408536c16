"""What people may change of a lease while it lives: priority, time to live, a renewal by hand, its revocation."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

import msgspec

from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import LeaseRecord
from leasegrid.rules.reasons import LeaseReason
from leasegrid_operator.leases.asking import KnownPools, request_of
from leasegrid_operator.leases.files import LeaseFile
from leasegrid_operator.leases.timers import Timers
from leasegrid_operator.logs import Action, log
from tasklet_runner.wire.errors import LeaseGridError

logger = logging.getLogger(__name__)


class SpecChanges:
    """Obeys a spec that has changed. `timers` go by the event loop's clock; `mark` has the lease's status written."""

    def __init__(
        self,
        engine: LeaseEngine,
        wall: Callable[[], float],
        timers: Timers,
        beside: Callable[[Coroutine[None, None, None]], None],
        mark: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._wall = wall
        self._timers = timers
        self._beside = beside
        self._mark = mark

    def follow(self, file: LeaseFile, pools: KnownPools) -> None:
        """Do what the spec says now; the same spec again changes nothing."""
        record, spec = self._engine.parts.table.get(file.uid), file.facts.spec
        if record is None or spec is None or spec is file.followed:
            return
        file.followed = spec
        request = request_of(file.facts.key, spec, pools)
        if request.priority != record.request.priority or request.ttl_seconds != record.request.ttl_seconds:
            record.request = msgspec.structs.replace(
                record.request, priority=request.priority, ttl_seconds=request.ttl_seconds
            )
            self._engine.parts.changed()
        if spec.revoke is not None:
            self._plan_revocation(file, spec.revoke.grace_seconds)
        if spec.renew_time != file.renew_time:
            file.renew_time = spec.renew_time
            self._beside(self._renew(file, record))

    def _plan_revocation(self, file: LeaseFile, grace_seconds: float) -> None:
        """It may be given a shorter grace later, never a longer one."""
        at = asyncio.get_running_loop().time() + grace_seconds
        if file.revoke_at is None or at < file.revoke_at:
            file.revoke_at = at
            self._timers.at(at, lambda: self._revoke(file.uid))

    def _revoke(self, uid: str) -> None:
        record = self._engine.parts.table.get(uid)
        if record is not None:
            self._engine.endings.begin(record, LeaseReason.REVOKED)

    async def _renew(self, file: LeaseFile, record: LeaseRecord) -> None:
        try:
            await self._engine.renew(file.uid)
        except LeaseGridError:
            return  # it has ended meanwhile, and its status says so
        await self._engine.parts.binder.deliver(record, self._engine.view(record).capabilities)
        file.renewed, file.renewals = self._wall(), file.renewals + 1
        log(logger, logging.INFO, Action.LEASE_RENEWED, "renewed by its object", lease=str(file.facts.key))
        self._mark(file.uid)
