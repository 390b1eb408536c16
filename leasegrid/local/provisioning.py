"""Keeping pools: gathers members, lets the sizing rule decide, forks and retires.

The default pool and its larger siblings share the machine's room: a pool that leases wait for goes first, and idle
members of the others are retired to make room for it.
"""

import asyncio
import time

from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Member, Shape
from leasegrid.local.parts import LocalParts
from leasegrid.local.pools import Room
from leasegrid.local.successors import Successors
from leasegrid.rules.pool_sizing import size_pool
from leasegrid.rules.pool_state import Observed, PoolDecision
from leasegrid.rules.reasons import RetireReason, WarmupFailure
from leasegrid.rules.refill import note_failure
from tasklet_runner.wire.errors import StateDirectoryError
from tasklet_runner.wire.member import MemberState, Role

_UNANSWERING = frozenset({RetireReason.WARMUP_TIMEOUT, RetireReason.FENCED})
"""Such a member is killed: it accepts no `retire`."""


class Provisioner:
    """Applies the sizing rule to every pool."""

    def __init__(self, local: LocalParts, successors: Successors) -> None:
        self._successors = successors
        self._parts = local.shared
        self._pools = local.pools
        self._processes = local.processes
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> float | None:
        """One pass over all pools; returns in how many seconds something changes by time alone, None for never."""
        waiting = self._waiting()
        room = self._room_left()
        looks = [self._successors.run()]
        for pool in sorted(self._parts.pools.values(), key=lambda pool: _turn(waiting.get(pool.name, []))):
            lacking = sum(record.missing - record.binding for record in waiting.get(pool.name, []))
            decision = self._decide(pool, lacking)
            newcomers = any(not record.settled.done() for record in waiting.get(pool.name, []))
            self._create(pool, decision.create, room, newcomers=newcomers)
            self._retire(pool, decision)
            looks.append(decision.look_again_in)
        return min((look for look in looks if look is not None), default=None)

    def failed(self, member: Member, cause: str) -> None:
        """A member ended before it was ever ready: its pool waits longer and longer before the next."""
        pool = self._parts.pools[member.pool]
        now = asyncio.get_running_loop().time()
        pool.failures = note_failure(pool.failures, WarmupFailure.CRASH, cause, now)

    async def close(self) -> None:
        """Wait until no retirement is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _waiting(self) -> dict[str, list[LeaseRecord]]:
        """The leases that lack members, by the pool that makes members for them."""
        found: dict[str, list[LeaseRecord]] = {}
        for record in sorted(self._parts.table.wanting(), key=lambda record: record.arrived):
            if record.missing > record.binding:
                found.setdefault(record.pools[0], []).append(record)
        return found

    def _room_left(self) -> Room:
        room = self._pools.room()
        for member in self._sharing():
            room.take(member.shape)
        return room

    def _sharing(self) -> list[Member]:
        pools = self._parts.pools
        return [member for member in self._parts.roster.all() if pools[member.pool].shares_room]

    def _decide(self, pool: Pool, waiting: int) -> PoolDecision:
        observed = Observed(
            wall_time=time.time(),
            members=tuple(member.observed for member in self._parts.roster.of_pool(pool.name)),
            waiting=waiting,
            bucket=pool.bucket,
            failures=pool.failures,
        )
        decision = size_pool(pool.spec, observed, asyncio.get_running_loop().time())
        pool.bucket, pool.failures, pool.conditions = decision.bucket, decision.failures, decision.conditions
        return decision

    def _create(self, pool: Pool, wanted_count: int, room: Room, *, newcomers: bool) -> None:
        if pool.shape.role is Role.MEMORY:
            wanted_count = min(wanted_count, self._memory_left() // pool.shape.quota)
        if not pool.shares_room:
            self._order(pool, wanted_count)
            return
        count = min(wanted_count, room.fits(pool.shape))
        self._order(pool, count)
        room.take(pool.shape, count)
        pool.starved = newcomers and count < wanted_count
        if pool.starved:
            self._make_room(pool, wanted_count - count, room)

    def _order(self, pool: Pool, count: int) -> None:
        try:
            self._processes.order(pool.name, pool.shape, count)
        except StateDirectoryError as error:
            now = asyncio.get_running_loop().time()
            pool.failures = note_failure(pool.failures, WarmupFailure.CRASH, str(error), now)

    def _memory_left(self) -> int:
        """Bytes that further memory stores may have."""
        stores = [one for one in self._parts.roster.all() if one.shape.role is Role.MEMORY]
        return max(0, self._pools.space().memory - sum(one.shape.quota for one in stores))

    def _make_room(self, pool: Pool, lacking: int, room: Room) -> None:
        """Keep what is left from the pools that come after, and retire idle members of others until it is enough."""
        others = [member for member in self._sharing() if member.pool != pool.name]
        coming = Room(room.slots, room.memory)
        for member in others:
            if member.retiring:
                _give(coming, member.shape)
        for member in sorted((one for one in others if one.free), key=lambda one: one.since):
            if coming.fits(pool.shape) >= lacking:
                break
            _give(coming, member.shape)
            self._end(member)
        room.take(pool.shape, lacking)

    def _retire(self, pool: Pool, decision: PoolDecision) -> None:
        for retirement in decision.retire:
            member = self._parts.roster.find(retirement.name)
            if member is None or member.retiring:
                continue
            if retirement.reason is RetireReason.WARMUP_TIMEOUT:
                self.failed(member, f"{member.name} was not ready after {pool.spec.warmup_grace_seconds} s")
            if retirement.reason in _UNANSWERING or member.state is MemberState.WARMING:
                member.retiring = True
                self._processes.kill(member)
            else:
                self._end(member)

    def _end(self, member: Member) -> None:
        task = asyncio.create_task(self._retire_one(member))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retire_one(self, member: Member) -> None:
        await self._parts.binder.retire(member)
        self._parts.changed()


def _give(room: Room, shape: Shape) -> None:
    room.take(shape, -1)


def _turn(waiting: list[LeaseRecord]) -> tuple[int, float]:
    """When a pool may take of the room: first those that newcomers wait for, then those that leases grow from."""
    newcomers = [record.arrived for record in waiting if not record.settled.done()]
    if newcomers:
        return (0, min(newcomers))
    return (1, min(record.arrived for record in waiting)) if waiting else (2, 0.0)
