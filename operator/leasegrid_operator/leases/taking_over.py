"""The first look of a new leader, and the look for strays that goes on after it: members decide what is bound."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from leasegrid.api.lease import LeaseSpec
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.roster import Member
from leasegrid.rules.reasons import LeaseReason
from leasegrid_operator.errors import ClusterError, NotFoundError
from leasegrid_operator.leases.adoption import Fate, Stray, ended_while_away, fate
from leasegrid_operator.leases.asking import KnownPools, request_of
from leasegrid_operator.leases.files import LeaseFile, bound_essence
from leasegrid_operator.leases.keeping import LeaseKeeping, Office
from leasegrid_operator.leases.reading import read_lease
from leasegrid_operator.logs import Action, log
from leasegrid_operator.resources import LEASES, ObjectKey
from tasklet_runner.wire.member import MemberState, StateReport
from tasklet_runner.wire.pins import split_pin

logger = logging.getLogger(__name__)

ASKED_AT_ONCE = 100


class Inheritance(Protocol):
    """What an earlier operator left beside the members."""

    def shelter(self, key: ObjectKey, uid: str, spec: LeaseSpec) -> None:
        """Keep members of this lease of which no pool is left, so that they can be asked."""
        ...

    def owns_volumes(self, uid: str) -> bool:
        """True when there are volumes that were bound to this lease."""
        ...

    def resume(self, record: LeaseRecord, names: Iterable[str]) -> bool:
        """Go on with the lease's own pods and volumes, and with those of members of these names; True when it has
        volumes.
        """
        ...


class TakeOver:
    """Of one namespace. `run` once, then `look_for_strays` about once a second."""

    def __init__(
        self, namespace: str, office: Office, keeping: LeaseKeeping, engine: LeaseEngine, estate: Inheritance
    ) -> None:
        self._namespace = namespace
        self._office = office
        self._keeping = keeping
        self._engine = engine
        self._estate = estate
        self._since: dict[str, float] = {}
        self._signed: dict[str, tuple[float, float]] = {}

    async def run(self, pools: KnownPools) -> None:
        """Ask every member, go on with the leases that have some, enter those that have none."""
        for file in self._keeping.files.values():
            if file.facts.spec is not None and not file.facts.written.released:
                self._estate.shelter(file.facts.key, file.uid, file.facts.spec)
        self._know_again()
        await self._ask(self._engine.parts.roster.all())
        self._follow_clock()
        claimed = self._claimed()
        files = sorted(self._keeping.files.values(), key=lambda one: (one.facts.created, one.facts.key))
        for file in files:
            # What is seen of them from now on must not enter them a second time.
            file.begun = True
        self._keeping.active = True
        for file in files:
            await self._go_on(file, claimed.get(file.uid, []), pools)

    async def _go_on(self, file: LeaseFile, members: list[Member], pools: KnownPools) -> None:
        written = file.facts.written
        known = bool(members) or written.acquired is not None or self._estate.owns_volumes(file.uid)
        if file.removed:
            return
        if written.released or file.facts.spec is None or not known:
            self._keeping.begin(file)
            return
        await self._adopt(file, members, pools)
        ended = ended_while_away(written.epochs, self._reports()) if not members else None
        if ended is LeaseReason.EXPIRED and self._estate.owns_volumes(file.uid):
            # Who was to renew had nobody to tell, and what is on volumes is served again.
            ended = None
        if ended is not None:
            self._keeping.end(file, ended)
        elif self._keeping.orphaned(file) is not None:
            self._keeping.end(file, LeaseReason.PARENT_RELEASED)

    async def look_for_strays(self) -> None:
        """Members that say they are claimed, of claims that the engine does not know."""
        strays = [one for one in self._engine.parts.roster.all() if one.state is MemberState.CLAIMED and not one.lease]
        self._since = {one.name: self._since.get(one.name, _now()) for one in strays}
        stale = [one for one in strays if one.report is None or one.report.epoch != one.epoch]
        await self._ask(stale)
        for member in strays:
            if member.state is MemberState.CLAIMED and not member.lease and member.report is not None:
                await self._decide(member, member.report.lease_uid)

    async def _decide(self, member: Member, uid: str) -> None:
        decided = fate(self._stray(member, uid), _now())
        if decided is Fate.LOOK:
            absent = await self._is_absent(uid)
            decided = fate(self._stray(member, uid, absent=absent), _now()) if absent else Fate.WAIT
        record = self._engine.parts.table.get(uid)
        if decided is Fate.ADOPT and record is not None:
            await self._engine.regain(record, member)
        elif decided is Fate.RELEASE:
            log(
                logger,
                logging.WARNING,
                Action.MEMBER_LOST,
                "released: nobody has its lease",
                member=member.name,
                uid=uid,
            )
            await self._engine.parts.binder.release_stray(member, uid)

    def _stray(self, member: Member, uid: str, *, absent: bool = False) -> Stray:
        record, file = self._engine.parts.table.get(uid), self._keeping.files.get(uid)
        listed = file is not None and file.facts.written.epochs.get(member.name) == member.epoch
        missing = record.wanted - len(record.held) if record is not None else 0
        return Stray(record is not None, missing, listed, self._since[member.name], absent)

    async def _is_absent(self, uid: str) -> bool:
        """By a live read: no lease of that uid lives. False when nobody could be asked."""
        file = self._keeping.files.get(uid)
        try:
            if file is not None:
                body = await self._office.cluster.get(LEASES, file.facts.key)
                return bool(body["metadata"]["uid"] != uid or read_lease(body).written.released)
            listing = await self._office.cluster.list(LEASES, self._namespace)
        except NotFoundError:
            return True
        except ClusterError:
            return False
        bodies = [body for body in listing.items if body["metadata"]["uid"] == uid]
        return all(read_lease(body).written.released for body in bodies)

    async def _adopt(self, file: LeaseFile, members: list[Member], pools: KnownPools) -> None:
        facts = file.facts
        if facts.spec is None:
            return
        request = request_of(facts.key, facts.spec, pools)
        own = self._keeping.provided(file)
        record = self._engine.record(file.uid, request, (*own, *request.pools), provisioned=bool(own))
        record.used |= dict.fromkeys(facts.written.epochs)
        now = self._engine.parts.clock.now()
        record.acquired = facts.written.acquired or now
        # What an earlier operator told its holder had a lower version: no lease changes a thousand times a second.
        record.version = max(record.version, round((now - facts.created) * 1000))
        if facts.spec.elastic:
            # It may have grown since its object was made; how far it was to grow its holder says again.
            record.wanted = max(record.wanted, len(members))
        left = max((one.report.seconds_left for one in members if one.report is not None), default=0.0)
        has_volumes = self._estate.resume(record, {*facts.written.epochs, *(one.name for one in members)})
        if has_volumes:
            # Nobody could renew while nobody served, and what is on volumes is not made again: its holder has time.
            left = max(left, request.ttl_seconds)
        record.deadline = min(now + (left or request.ttl_seconds), record.last_deadline)
        epochs = {one.name: one.epoch for one in members}
        if epochs == dict(facts.written.epochs):
            file.essence = bound_essence(epochs, record.wanted, file.renewals)
        log(logger, logging.INFO, Action.LEASE_ADOPTED, f"{len(members)} members", lease=str(facts.key))
        await self._engine.adopt(record, members)
        if has_volumes:
            await self._engine.parts.binder.deliver(record, self._engine.view(record).capabilities)
        # Whether a person's renewal was obeyed nobody knows any more: once too often does no harm.
        file.renew_time = None
        self._keeping.seen(file.facts)

    def _know_again(self) -> None:
        """Ask leased members by the keys that their leases' status names: nobody else is adopted in their place."""
        for file in self._keeping.files.values():
            for name, endpoint in file.facts.written.pinned.items():
                member = self._engine.parts.roster.find(name)
                if member is not None and split_pin(member.endpoint)[0] == split_pin(endpoint)[0]:
                    member.endpoint = endpoint

    def _follow_clock(self) -> None:
        """Go on with the clock that the latest of the living leases were bound by."""
        latest = max(self._signed.values(), key=lambda one: one[0] - one[1], default=None)
        self._signed.clear()
        if latest is not None and self._engine.parts.clock.follow(*latest):
            log(logger, logging.WARNING, Action.CLOCK_FOLLOWED, "this clock is not the one that leases were bound by")

    def _reports(self) -> dict[str, StateReport]:
        """What members say that answer; the report of one that did not answer lately is an old one."""
        members = self._engine.parts.roster.all()
        return {one.name: one.report for one in members if one.report is not None and one.report.epoch == one.epoch}

    def _claimed(self) -> dict[str, list[Member]]:
        found: dict[str, list[Member]] = defaultdict(list)
        for member in self._engine.parts.roster.all():
            if member.state is MemberState.CLAIMED and member.report is not None:
                found[member.report.lease_uid].append(member)
        return found

    async def _ask(self, members: list[Member]) -> None:
        started = [member for member in members if member.started]
        for first in range(0, len(started), ASKED_AT_ONCE):
            batch = started[first : first + ASKED_AT_ONCE]
            await asyncio.gather(*(self._ask_one(member) for member in batch))

    async def _ask_one(self, member: Member) -> None:
        if await self._engine.parts.binder.ask(member) and member.report is not None and member.report.lease_uid:
            self._signed[member.name] = (member.report.signers_clock, _now())


def _now() -> float:
    return asyncio.get_running_loop().time()
