"""Calls to many members at once: bind, confirm, release, retire. What a member says decides; the books follow."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.roster import Member, Roster, take_hint
from leasegrid.leasing.signing import Signer
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, UnreachableError
from tasklet_runner.wire.member import BindReply, Hint, MemberState, ReleaseReply, StateReport
from tasklet_runner.wire.statements import MEMBERS_PER_CAPABILITY

CONFIRM_SECONDS = 0.05


@dataclass(frozen=True)
class Freed:
    """What a release came to: the member's word, or why nobody knows (`unverified`)."""

    held: Held
    reply: ReleaseReply | None = None
    unverified: str = ""


class Binder:
    """Speaks to members in the fabric's name. `clock` is monotonic."""

    def __init__(self, roster: Roster, signer: Signer) -> None:
        self._roster = roster
        self._signer = signer
        self._confirmations: set[asyncio.Task[None]] = set()

    async def bind(self, record: LeaseRecord, members: Sequence[Member]) -> int:
        """Bind members that were reserved for the lease, all at once; returns how many were.

        One that refuses, or does not answer, is free again or out of the index; the caller takes the next candidate.
        """
        answers = await asyncio.gather(*(self._bind_one(record, member) for member in members))
        bound = [held for held in answers if held is not None]
        for held in bound:
            record.hold(held)
        if bound:
            task = asyncio.create_task(self._confirm_soon(record.uid, bound))
            self._confirmations.add(task)
            task.add_done_callback(self._confirmations.discard)
        return len(bound)

    async def release(self, record: LeaseRecord, held: Sequence[Held]) -> list[Freed]:
        """Free members of the lease, all at once; what they did is added to it."""
        freed = await asyncio.gather(*(self._release_one(record.uid, one) for one in held))
        for one in freed:
            record.held.pop(one.held.member.name, None)
            if one.reply is not None:
                record.count(one.reply.counters, one.reply.scratch_bytes)
            if one.unverified:
                record.unverified[one.held.member.name] = one.held
        return freed

    def give_back(self, record: LeaseRecord, held: Sequence[Held]) -> "asyncio.Task[list[Freed]]":
        """Free members of a lease that goes on; its end, which may come meanwhile, waits for what they did."""
        task = asyncio.create_task(self.release(record, held))
        record.collecting.add(task)
        task.add_done_callback(record.collecting.discard)
        return task

    def collect(self, record: LeaseRecord, held: Held) -> None:
        """A member has ended the lease by itself: ask it, beside, what it did; it remembers only its last lease."""
        task = asyncio.create_task(self._collect(record, held))
        record.collecting.add(task)
        task.add_done_callback(record.collecting.discard)

    async def adopt(self, record: LeaseRecord, member: Member) -> None:
        """Take a member that says it is bound to the lease as held by it: an earlier process of the fabric bound it."""
        await self.affirm(record, self.take(record, member))

    def take(self, record: LeaseRecord, member: Member) -> Held:
        """The first half of `adopt`, at once: no pass may find the lease with a member and yet unsettled."""
        if member.report is None:
            raise ValueError(f"{member.name} was not asked")
        held = Held(member, leased(member, member.report), member.grant)
        member.lease = record.uid
        record.hold(held)
        self._roster.file(member)
        return held

    async def affirm(self, record: LeaseRecord, held: Held) -> None:
        """The second half: a bind that is provisional yet is confirmed."""
        if held.member.report is not None and not held.member.report.confirmed:
            await self._confirm(record.uid, held)

    async def release_stray(self, member: Member, lease_uid: str) -> None:
        """Free a member of a lease that nobody knows any more; one that does not answer frees itself in time."""
        with suppress(LeaseGridError):
            await member.reach().release(self._signer.release(lease_uid, member.grant))

    async def deliver(self, record: LeaseRecord, capabilities: Sequence[str]) -> None:
        """Show its members the renewed capabilities, for a holder that may not be connected to them."""
        calls = [
            held.member.reach().renew(capabilities[place // MEMBERS_PER_CAPABILITY])
            for place, held in enumerate(record.held.values())
            if not held.member.gone.is_set()
        ]
        # One that does not answer keeps its deadline: its holder can show the capability itself.
        await asyncio.gather(*calls, return_exceptions=True)

    async def seconds_left(self, record: LeaseRecord) -> float:
        """How long the lease lasts yet by the word of its members, in seconds; 0 when it is over or nobody answers."""
        answers = await asyncio.gather(*(self._left(record.uid, held.member) for held in record.held.values()))
        return max(answers, default=0.0)

    async def retire(self, member: Member) -> bool:
        """End an idle member; False when it refused or did not answer, and is left alone."""
        member.retiring = True
        self._roster.file(member)
        try:
            await member.reach().retire(self._signer.retire(member.grant))
        except LeaseGridError:
            member.retiring = False
            await self.ask(member)
            return False
        return True

    async def ask(self, member: Member) -> bool:
        """Read the member's own word about its state into the roster; False when it does not answer."""
        try:
            report = await member.reach().state()
        except LeaseGridError:
            self._unheard(member)
            return False
        member.report = report
        word = Hint(member=member.name, incarnation=report.incarnation, epoch=report.epoch, state=report.state)
        take_hint(member, word, _now())
        self._roster.file(member)
        return True

    async def close(self) -> None:
        """Wait for nothing more."""
        for task in list(self._confirmations):
            task.cancel()
        await asyncio.gather(*self._confirmations, return_exceptions=True)

    async def _left(self, lease_uid: str, member: Member) -> float:
        try:
            report = await member.reach().state()
        except LeaseGridError:
            return 0.0
        return report.seconds_left if report.lease_uid == lease_uid else 0.0

    async def _collect(self, record: LeaseRecord, held: Held) -> None:
        try:
            reply = await held.member.reach().release(self._signer.release(record.uid, held.grant))
        except LeaseGridError:
            # It has said itself that the lease is over; only its figures are lost.
            return
        record.count(reply.counters, reply.scratch_bytes)

    async def _bind_one(self, record: LeaseRecord, member: Member) -> Held | None:
        grant = member.next_grant
        statement = self._signer.bind(record.uid, record.request.holder_key, grant, record.deadline)
        try:
            reply = await member.reach().bind(statement)
        except UnreachableError:
            # Whoever keeps the roster asks it soon: others of the lease need not wait for a second silence.
            member.lease = ""
            self._unheard(member)
            return None
        except LeaseGridError:
            member.lease = ""
            await self.ask(member)
            return None
        if self._roster.find(member.name) is not member:
            return None
        member.epoch, member.state, member.since = reply.epoch, MemberState.CLAIMED, _now()
        member.claims += 1
        member.farewell = ""
        return Held(member, leased(member, reply), grant)

    async def _confirm_soon(self, lease_uid: str, bound: Sequence[Held]) -> None:
        # A bind is provisional for five seconds: its confirmation need not stand in the holder's way.
        await asyncio.sleep(CONFIRM_SECONDS)
        await asyncio.gather(*(self._confirm(lease_uid, held) for held in bound))

    async def _confirm(self, lease_uid: str, held: Held) -> None:
        statement = self._signer.confirm(lease_uid, held.grant)
        for _ in range(2):
            try:
                await held.member.reach().confirm(statement)
            except UnreachableError:
                continue
            except RefusedError:
                # The lease was released meanwhile, or the member ended: both are told on their own ways.
                return
            return

    async def _release_one(self, lease_uid: str, held: Held) -> Freed:
        member = held.member
        if self._roster.find(member.name) is not member:
            return Freed(held)
        try:
            reply = await member.reach().release(self._signer.release(lease_uid, held.grant))
        except RefusedError as error:
            return self._let_go(Freed(held, unverified=str(error)))
        except LeaseGridError as error:
            gone = self._roster.find(member.name) is not member
            return self._let_go(Freed(held, unverified="" if gone else str(error)))
        return self._let_go(Freed(held, reply))

    def _unheard(self, member: Member) -> None:
        """Until it says something itself, or its process ends, it counts as one that is still coming up."""
        if member.state is not MemberState.WARMING:
            member.state, member.since = MemberState.WARMING, _now()
        self._roster.file(member)

    def _let_go(self, freed: Freed) -> Freed:
        member = freed.held.member
        if member.epoch != freed.held.grant.epoch:
            # Its hint was quicker than this reply, and it is bound anew already.
            return freed
        member.lease = ""
        if member.state is MemberState.CLAIMED:
            member.state, member.since = MemberState.RESETTING, _now()
        self._roster.file(member)
        return freed


def leased(member: Member, reply: BindReply | StateReport) -> LeasedMember:
    """The member as its holder is told of it."""
    return LeasedMember(
        name=member.name,
        endpoint=member.address,
        incarnation=reply.incarnation,
        epoch=reply.epoch,
        slots=reply.slots,
        tasklet_memory=reply.tasklet_memory,
        cpu_features=member.shape.cpu_features,
        pool=member.pool,
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
