"""Claims: gathers who wants members and who is ready, lets the admission rule decide, binds what it grants."""

import asyncio
import math
from collections.abc import Coroutine

from leasegrid.api.enums import ConditionStatus, OnEmpty
from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.roster import Member
from leasegrid.rules.admission import admit
from leasegrid.rules.claims import Claim, Grant, Place, Refusal, Supply
from leasegrid.rules.reasons import AdmissionReason, ConditionType
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import CapacityExceededError, LeaseGridError, PoolEmptyError, UnsupportedError

_ERRORS: dict[AdmissionReason, type[LeaseGridError]] = {
    AdmissionReason.POOL_EMPTY: PoolEmptyError,
    AdmissionReason.POOL_NOT_FOUND: UnsupportedError,
    AdmissionReason.UNSUPPORTED: UnsupportedError,
    AdmissionReason.UNSATISFIABLE: UnsupportedError,
}


LONG_QUEUE = 100
REST_FACTOR = 5.0
"""With so many waiting a pass is not repeated before so many times its duration: a queue of thousands may keep one
fifth of a core busy, no more.
"""


class Claims:
    """Admission at work. `run` decides and starts binds; what they come to leads to the next `run`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tasks: set[asyncio.Task[None]] = set()
        self._rest_until = 0.0

    def run(self) -> float | None:
        """One pass; returns the monotonic instant at which the next is due by time alone, None for never."""
        started = asyncio.get_running_loop().time()
        if started < self._rest_until:
            return self._rest_until
        queued = len(self._parts.table.wanting())
        wake_at = self._pass(started)
        took = asyncio.get_running_loop().time() - started
        self._rest_until = started + took * REST_FACTOR if queued > LONG_QUEUE else 0.0
        return wake_at

    def _pass(self, now: float) -> float | None:
        records = {
            record.uid: record
            for record in self._parts.table.wanting()
            if not record.binding and not self._gives_way(record)
        }
        if not records:
            return None
        claims = [_claim(record) for record in records.values()]
        decision = admit(claims, self._supplies(), now)
        for grant in decision.grants:
            self._grant(records[grant.uid], grant)
        for refusal in decision.refusals:
            self._refuse(records[refusal.uid], refusal)
        for place in decision.queue:
            self._wait(records[place.uid], place)
        return decision.wake_at

    async def close(self) -> None:
        """Wait until no bind is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _gives_way(self, record: LeaseRecord) -> bool:
        """Growth takes no member whose room a newcomer waits for: what becomes idle is retired to make it."""
        pools = self._parts.pools
        mine = [pools[name] for name in record.pools if name in pools]
        starved = any(pool.starved for pool in pools.values() if pool not in mine)
        return starved and record.settled.done() and all(pool.shares_room for pool in mine)

    def _supplies(self) -> list[Supply]:
        return [pool.supply(self._parts.roster.ready(pool.name)) for pool in self._parts.pools.values()]

    def _grant(self, record: LeaseRecord, grant: Grant) -> None:
        needs = needs_of(record)
        members = [
            member
            for take in grant.takes
            for _ in range(take.count)
            if (member := self._parts.roster.take(take.pool, needs, record.uid)) is not None
        ]
        if not record.held and not record.settled.done():
            # Its time begins with its first member, not in the queue.
            record.acquired = now = self._parts.clock.now()
            record.deadline = min(now + record.request.ttl_seconds, record.last_deadline)
            self._parts.deadlines.set(record.uid, record.deadline)
        record.binding = len(members)
        record.bound.clear()
        self._spawn(self._bind(record, members))

    async def _bind(self, record: LeaseRecord, members: list[Member]) -> None:
        bound = await self._parts.binder.bind(record, members)
        record.binding = 0
        record.bound.set()
        if not record.ended and bound:
            self._parts.ledger.write_down(record)
            if len(record.held) >= record.request.min_count:
                record.waiting_because, record.queue_position = "", 0
                record.settle()
            record.touch()
        self._parts.changed()

    def _wait(self, record: LeaseRecord, place: Place) -> None:
        because = "; ".join([place.message, *self._troubles(record)])
        if record.waiting_because != because:
            record.waiting_because, record.queue_position = because, place.position
            self._parts.ledger.write_down(record)
            record.touch()
        if not record.settled.done() and record.held:
            # No hold-and-wait: what was bound of a gang that is not complete goes back at once.
            self._spawn(self._give_back(record))

    def _refuse(self, record: LeaseRecord, refusal: Refusal) -> None:
        if record.settled.done():
            record.waiting_because = refusal.message
            return
        error = error_for(refusal.reason)
        cause = "; ".join([refusal.message, *self._troubles(record)])
        record.ended = refusal.reason.value
        record.touch()
        self._spawn(self._fail(record, error(cause, remedy=refusal.remedy)))

    async def _fail(self, record: LeaseRecord, error: LeaseGridError) -> None:
        await self._give_back(record)
        record.settle(error)

    async def _give_back(self, record: LeaseRecord) -> None:
        # Its members no more from now on: one that comes to it meanwhile must not make it complete with these.
        leaving = [record.held.pop(name) for name in list(record.held)]
        await self._parts.binder.give_back(record, leaving)
        self._parts.changed()

    def _troubles(self, record: LeaseRecord) -> list[str]:
        """What the pools of a waiting lease say about why they make no members."""
        pools = [pool for name in record.pools if (pool := self._parts.pools.get(name)) is not None]
        return [
            f"{pool.name}: {condition.message}"
            for pool in pools
            for condition in pool.conditions
            if condition.type is ConditionType.DEGRADED and condition.status is ConditionStatus.TRUE
        ]

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def error_for(reason: AdmissionReason) -> type[LeaseGridError]:
    """What an acquisition that is refused for this reason raises."""
    return _ERRORS.get(reason, CapacityExceededError)


def needs_of(record: LeaseRecord) -> Requirements:
    """What each of its members must have."""
    request = record.request
    return Requirements(request.slots, request.memory, request.cpu_features)


def _claim(record: LeaseRecord) -> Claim:
    request, held = record.request, len(record.held)
    first = not record.settled.done()
    # A lease that has lost all its members waits for one like a newcomer, for as long as it lives.
    waiting = first or not held
    return Claim(
        uid=record.uid,
        # A gang that is bound in part asks for the rest; one that was complete once grows member by member.
        count=record.missing if waiting else record.wanted,
        minimum=max(1, request.min_count - held) if first else 1,
        admitted=not waiting,
        bound=0 if waiting else held,
        arrived=record.arrived,
        pools=record.pools,
        needs=needs_of(record),
        elastic=request.elastic,
        priority=request.priority,
        on_empty=OnEmpty.QUEUE if record.provisioned or not first else OnEmpty(request.on_empty),
        queue_timeout_seconds=request.queue_timeout_seconds if first else math.inf,
    )
