"""The engine's one loop: deadlines, admission at once, pool plans at most ten times a second.

Level-triggered: hints and exits only say that something may be different; every pass looks at everything that may
want something.
"""

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import replace

from leasegrid.leasing.claims import Claims
from leasegrid.leasing.endings import Endings
from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Parts, Planner
from leasegrid.leasing.roster import Member, take_hint
from tasklet_runner.wire.member import Hint, MemberState

PLAN_SECONDS = 0.1
"""Plans of pools are at least so far apart."""

SILENCE_SECONDS = 0.3
"""A member that warms up or resets and has said nothing for so long is asked."""

IDLE_SECONDS = 30.0
"""An idle member is asked so often, which also keeps its connection open."""

IDLE_ASKED_PER_SECOND = 10.0
"""Of thousands each is asked more seldom: they keep one another from nothing."""

REST_FACTOR = 50.0
"""A look at all members is not repeated before so many times its duration: the larger a pool, the more seldom it is
planned, so that a claim costs the same in every pool.
"""

RESIDUE_SECONDS = 0.5
"""A member heard of its deadline a moment after it was set, and keeps it so much longer: no renewal, which adds
seconds."""

HEARD_SECONDS = 0.02
"""A member that keeps its deadline has said so by then, and need not be asked: thousands may expire in one second."""

RELEASED, FINISHED = "Released", "Finished"
"""What a member says of a lease whose part in it was given back, and what is said of the lease when all were."""

MAX_REST_SECONDS = 1.0
"""The loop looks at everything at least so often, whatever was lost."""


class Keeper:
    """Keeps one engine until it is closed."""

    def __init__(self, parts: Parts, claims: Claims, planner: Planner, endings: Endings) -> None:
        self._parts = parts
        self._claims = claims
        self._planner = planner
        self._endings = endings
        self._plan_at = 0.0
        self._plan_due = True
        self._look_at = 0.0
        self._ask_at = 0.0
        self._asked: dict[str, float] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self, event: asyncio.Event) -> None:
        """Keep until cancelled; `event` wakes."""
        while True:
            event.clear()
            rest = self.pass_once()
            try:
                async with asyncio.timeout(rest):
                    await event.wait()
            except TimeoutError:
                continue
            finally:
                self._plan_due = True

    def pass_once(self) -> float:
        """One look at everything; returns in how many seconds the next is due."""
        now = asyncio.get_running_loop().time()
        for uid in self._parts.deadlines.due(self._parts.clock.now()):
            self._expire(uid)
        claims_at = self._claims.run()
        plan_in = self._plan(now)
        rests = [self._ask(now), plan_in]
        self._parts.roster.note(now)
        if claims_at is not None:
            rests.append(claims_at - now)
        if (deadline := self._parts.deadlines.next()) is not None:
            rests.append(deadline - self._parts.clock.now())
        return max(0.0, min(rests))

    def hinted(self, hint: Hint) -> None:
        """A member said something."""
        member = self._parts.roster.find(hint.member)
        if member is None:
            return
        if hint.state is MemberState.CLAIMED or (hint.state, hint.epoch) == (member.state, member.epoch):
            # That it is claimed, whoever bound it knows; fifty such words must not cost fifty looks at everything.
            return
        if hint.state is not MemberState.READY or member.state is MemberState.CLAIMED:
            # Anybody may have said it, and it would cost a lease or a pool its member: the member itself is asked.
            if (hint.incarnation, hint.epoch) == (member.incarnation, member.epoch):
                member.farewell = hint.reason
            self._beside(self._ask_one(member))
        elif take_hint(member, hint, asyncio.get_running_loop().time()):
            self._parts.roster.file(member)
            self._parts.changed()

    def lost(self, member: Member) -> None:
        """A member is gone: its lease loses it, its pool fills the place."""
        self._parts.roster.remove(member.name)
        self._asked.pop(member.name, None)
        self._parts.background(member.hang_up())
        record = self._parts.table.get(member.lease)
        if record is not None and record.held.pop(member.name, None) is not None:
            self._count_given_back(record, member.farewell)
            self._parts.ledger.write_down(record)
            record.touch()
        self._parts.changed()

    async def close(self) -> None:
        """Ask nobody any more."""
        for task in list(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def _expire(self, uid: str) -> None:
        record = self._parts.table.get(uid)
        if record is not None:
            record.expiring = True
            self._beside(self._expire_unless_renewed(record))

    async def _expire_unless_renewed(self, record: LeaseRecord) -> None:
        """The member decides: the holder may have renewed where this engine did not hear of it."""
        await asyncio.sleep(HEARD_SECONDS)
        left = await self._parts.binder.seconds_left(record)
        while 0 < left < RESIDUE_SECONDS and not record.ended:
            await asyncio.sleep(left)
            left = await self._parts.binder.seconds_left(record)
        if left > 0 and not record.ended:
            record.deadline = min(self._parts.clock.now() + left, record.last_deadline)
        record.expiring = False
        if record.ended or record.deadline > self._parts.clock.now():
            self._parts.deadlines.set(record.uid, record.deadline)
            self._parts.changed()
        else:
            self._endings.begin(record, "Expired")

    def _free_if_ended(self, member: Member, before: MemberState) -> None:
        """A member that reset itself under a lease (its deadline, or a fault of its own) has left it."""
        if before is not MemberState.CLAIMED or member.state is MemberState.CLAIMED:
            return
        record = self._parts.table.get(member.lease)
        held = record.held.pop(member.name, None) if record is not None else None
        if record is not None and held is not None:
            self._parts.binder.collect(record, held)
            member.lease = ""
            self._parts.roster.file(member)
            if not record.expiring:
                self._count_given_back(record, member.report.reason if member.report is not None else "")
                self._parts.ledger.write_down(record)
                record.touch()

    def _count_given_back(self, record: LeaseRecord, reason: str) -> None:
        """A member that was released at its own door, by the holder or by a replica that does not lead, is wanted no
        more; with its last one the lease is over.
        """
        if reason != RELEASED or not record.settled.done():
            return
        record.wanted = max(len(record.held), record.wanted - 1)
        if not record.held:
            self._endings.begin(record, FINISHED)

    def _plan(self, now: float) -> float:
        if now >= self._look_at or self._plan_due:
            if now < self._plan_at:
                return self._plan_at - now
            self._plan_due = False
            started = _now()
            look_again = self._planner.run()
            self._plan_at = now + max(PLAN_SECONDS, (_now() - started) * REST_FACTOR)
            self._look_at = now + (look_again if look_again is not None else MAX_REST_SECONDS)
        return max(0.0, self._look_at - now)

    def _ask(self, now: float) -> float:
        """Ask silent members, like plans at most ten times a second; returns in how many seconds it is due again."""
        if now >= self._ask_at:
            started = _now()
            due_in = self._ask_silent(now)
            self._ask_at = now + max(PLAN_SECONDS, due_in, (_now() - started) * REST_FACTOR)
        return self._ask_at - now

    def _ask_silent(self, now: float) -> float:
        """Ask members that were silent for too long; returns in how many seconds the next one will have been."""
        due_in = SILENCE_SECONDS
        idle = max(IDLE_SECONDS, len(self._parts.roster) / IDLE_ASKED_PER_SECOND)
        for member in self._parts.roster.all():
            if not member.started:
                continue
            asked = self._asked.get(member.name, 0.0)
            left = max(member.since, asked) + _patience(member, idle if asked else SILENCE_SECONDS) - now
            if left <= 0:
                self._asked[member.name] = now
                self._beside(self._ask_one(member))
            else:
                due_in = min(due_in, left)
        return due_in

    async def _ask_one(self, member: Member) -> None:
        state, grant = member.state, member.grant
        if await self._parts.binder.ask(member):
            self._learn(member)
            self._free_if_ended(member, state)
        if (state, grant) != (member.state, member.grant):
            self._parts.changed()

    def _learn(self, member: Member) -> None:
        """Which CPU a member runs on only itself can say; its pool offers what it was last seen to have."""
        features = member.report.cpu_features if member.report is not None else ()
        pool = self._parts.pools.get(member.pool)
        if not features or pool is None:
            return
        if member.shape.cpu_features != features:
            member.shape = replace(member.shape, cpu_features=features)
            self._parts.roster.refile(member)
        if pool.shape.cpu_features != features:
            pool.shape = replace(pool.shape, cpu_features=features)
            self._parts.changed()

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)


def _patience(member: Member, idle: float) -> float:
    """How long a member may be silent before it is asked; an idle one is asked soon after it is ready, too, so that
    the connection stands when it is bound.
    """
    if member.state in (MemberState.WARMING, MemberState.RESETTING):
        return SILENCE_SECONDS
    return idle if member.free else math.inf


def _now() -> float:
    return asyncio.get_running_loop().time()
