"""Block members of one run after the first: a volume whose server has ended gets another, at the next epoch."""

import asyncio
from collections.abc import Coroutine

from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.roster import Member
from leasegrid.local.blocks import BlockVolume, BlockVolumes
from leasegrid.local.pool_specs import WARMUP_SECONDS
from leasegrid.local.processes import Processes
from leasegrid.local.volumes import evict, server_of
from leasegrid.rules.following import Step, next_step
from tasklet_runner.wire.errors import LeaseGridError, StoreError
from tasklet_runner.wire.member import MemberState

RETRY_SECONDS = 0.25
LONGEST_REST_SECONDS = 30.0
"""Servers that end before they can be bound are made ever more seldom."""

TRIES = 4
"""A lease of an earlier run is refused when so many servers of its volume have ended before they were ready."""


class Successors:
    """Level-triggered: `run` looks at every volume of every lease."""

    def __init__(self, parts: Parts, volumes: BlockVolumes, processes: Processes) -> None:
        self._parts = parts
        self._volumes = volumes
        self._processes = processes
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> float | None:
        """One look; returns in how many seconds the next is due by time alone, None for never."""
        for one in self._volumes.all():
            if not one.lease and one.member and self._parts.roster.find(one.member) is None:
                self._volumes.delete(one)
        rests = []
        for record in {uid: self._parts.table.get(uid) for uid in self._leases()}.values():
            if record is not None and not record.ended:
                rests.append(self._look(record))
        return min((rest for rest in rests if rest is not None), default=None)

    async def close(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _leases(self) -> set[str]:
        return {one.lease for one in self._volumes.all() if one.lease}

    def _look(self, record: LeaseRecord) -> float | None:
        volumes = self._volumes.of_lease(record.uid)
        waits = record.settled.done() or any(one.resumed for one in volumes)
        lacking = max(0, record.wanted - len(record.held)) if waits else 0
        unserved = [one for one in volumes if one.member not in record.held]
        self._expect(record, min(lacking, len(unserved)))
        now = asyncio.get_running_loop().time()
        for one in unserved:
            if not one.busy:
                lacking -= self._step(record, one, lacking, now)
        return min((max(RETRY_SECONDS, one.rest_until - now) for one in unserved), default=None)

    def _expect(self, record: LeaseRecord, count: int) -> None:
        """What will be served again is not to be replaced by a member of the pool meanwhile."""
        if record.awaited != count:
            record.awaited = count
            record.touch()

    def _step(self, record: LeaseRecord, one: BlockVolume, lacking: int, now: float) -> bool:
        """Begin what is to be done; True when that brings the lease a member."""
        member = self._parts.roster.find(one.member)
        step = next_step(held=False, lacking=lacking, server=member.state if member else None)
        if step is Step.FOLLOW:
            self._follow(record, one, now)
        elif step is Step.END:
            self._volumes.delete(one)
        elif step in (Step.BIND, Step.ADOPT) and member is not None and not record.binding:
            one.work = self._beside(self._take(record, one, member, step))
        elif member is not None and _useless(member, now):
            self._processes.kill(member)
        return step in (Step.FOLLOW, Step.BIND, Step.ADOPT)

    def _follow(self, record: LeaseRecord, one: BlockVolume, now: float) -> None:
        if now < one.rest_until:
            return
        if server_of(one.volume):
            # The member of a run that was killed: it goes on until its deadline unless it is told to end.
            one.work = self._beside(self._evict(one))
            return
        if one.made >= TRIES and not record.settled.done():
            self._give_up(record, one)
            return
        self._processes.follow(one, record.uid)
        one.made += 1
        one.rest_until = now + min(LONGEST_REST_SECONDS, RETRY_SECONDS * 2**one.made)

    async def _evict(self, one: BlockVolume) -> None:
        try:
            await asyncio.to_thread(evict, one.volume)
        except LeaseGridError:
            one.made, one.rest_until = TRIES, asyncio.get_running_loop().time() + RETRY_SECONDS
        self._parts.changed()

    def _give_up(self, record: LeaseRecord, one: BlockVolume) -> None:
        self._volumes.spare(record.uid)
        record.settle(
            StoreError(
                f"the store of the lease {record.request.request_id} in {one.volume.path} cannot be served: "
                f"{self._processes.zygote.last_words() or 'its members end before they are ready'}",
                remedy="mend what it says, and run it again; or delete it: leasegrid release",
            )
        )

    async def _take(self, record: LeaseRecord, one: BlockVolume, member: Member, step: Step) -> None:
        record.binding += 1
        record.bound.clear()
        try:
            taken = await self._bound(record, member, step)
        finally:
            record.binding -= 1
            record.bound.set()
        if taken and not record.ended:
            one.made = 0
            self._parts.ledger.write_down(record)
            if len(record.held) >= record.request.min_count:
                record.waiting_because, record.queue_position = "", 0
                record.settle()
            record.touch()
        self._parts.changed()

    async def _bound(self, record: LeaseRecord, member: Member, step: Step) -> bool:
        binder = self._parts.binder
        if not record.settled.done() and not record.held:
            # As of any lease, its time begins with its first member.
            record.acquired = now = self._parts.clock.now()
            record.deadline = min(now + record.request.ttl_seconds, record.last_deadline)
            self._parts.deadlines.set(record.uid, record.deadline)
        if step is Step.ADOPT and member.report is not None and member.report.lease_uid == record.uid:
            await binder.adopt(record, member)
            return True
        if step is Step.BIND and await binder.bind(record, [member]):
            return True
        # Whatever came between: nobody else is to have it.
        member.lease = record.uid
        self._parts.roster.file(member)
        return False

    def _beside(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _useless(member: Member, now: float) -> bool:
    """True for a server that will never serve: nobody but its lease looks after it."""
    hangs = member.state is MemberState.WARMING and now - member.since > WARMUP_SECONDS
    return hangs or member.state is MemberState.FENCED
