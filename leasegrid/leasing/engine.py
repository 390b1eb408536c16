"""One namespace's leases at work: what every fabric answers its holders with, on whatever its members run."""

import asyncio
from collections.abc import Sequence

from leasegrid.leasing.claims import Claims
from leasegrid.leasing.endings import Endings
from leasegrid.leasing.keeper import Keeper
from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Parts, Planner
from leasegrid.leasing.roster import Member
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import LeaseEndedError

WATCH_SECONDS = 10.0


class LeaseEngine:
    """The Fabric protocol but for `acquire`, of which each fabric makes the first half: it names the lease and its
    pools, and gives both to `enter`. Made inside a running event loop; `changed` of its parts is `wake`.
    """

    def __init__(self, parts: Parts, planner: Planner) -> None:
        self.parts = parts
        self.claims = Claims(parts)
        self.endings = Endings(parts)
        self.keeper = Keeper(parts, self.claims, planner, self.endings)

    def enter(self, record: LeaseRecord) -> LeaseRecord:
        """A lease that wants members from now on. Its `settled` tells how that ended; one that failed is ended."""
        self.parts.ledger.write_down(record)
        self.parts.table.add(record)
        record.settled.add_done_callback(lambda _: self._settled(record))
        self.parts.changed()
        self.claims.run()
        return record

    async def adopt(self, record: LeaseRecord, members: Sequence[Member]) -> None:
        """Go on with a lease that was entered by an earlier process, and has these members by their own word."""
        record.settle()
        self.parts.table.add(record)
        self.parts.deadlines.set(record.uid, record.deadline)
        await asyncio.gather(*(self.parts.binder.adopt(record, member) for member in members))
        record.touch()
        self.parts.ledger.write_down(record)
        self.parts.changed()

    async def regain(self, record: LeaseRecord, member: Member) -> None:
        """Take a member that belongs to the lease by its own word, though its bind was counted as failed."""
        held = self.parts.binder.take(record, member)
        if len(record.held) >= record.request.min_count:
            record.waiting_because, record.queue_position = "", 0
            record.settle()
        record.touch()
        self.parts.ledger.write_down(record)
        self.parts.changed()
        await self.parts.binder.affirm(record, held)

    async def watch(self, uid: str, version: int) -> LeaseView:
        """See `Fabric.watch`."""
        record = self.parts.table.find(uid)
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                while record.version <= version and not record.ended:
                    await record.changed.wait()
        except TimeoutError:
            pass
        return self.view(record)

    async def renew(self, uid: str) -> LeaseView:
        """See `Fabric.renew`. The deadline never passes acquisition + maxLifetimeSeconds."""
        record = self._live(uid)
        deadline = min(self.parts.clock.now() + record.request.ttl_seconds, record.last_deadline)
        if deadline > record.deadline:
            record.deadline = deadline
            self.parts.deadlines.set(uid, deadline)
            self.parts.ledger.write_down(record)
            record.touch()
        return self.view(record)

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """See `Fabric.resize`."""
        record = self._live(uid)
        record.wanted = count
        leaving = [record.held.pop(name) for name in give_back if name in record.held]
        record.touch()
        if leaving:
            await asyncio.shield(self.parts.binder.give_back(record, leaving))
            self.parts.ledger.write_down(record)
        self.parts.changed()
        return self.view(record)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """See `Fabric.report_lost`. A member that answers is reset and used again, one that does not is ended."""
        record = self._live(uid)
        held = record.held.pop(member, None)
        if held is not None:
            record.touch()
            await asyncio.shield(self.parts.binder.give_back(record, [held]))
            if record.unverified.pop(member, None) is not None:
                self.parts.background(self._see_to(record, held))
            self.parts.ledger.write_down(record)
            self.parts.changed()
        return self.view(record)

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """See `Fabric.release`."""
        return await asyncio.shield(self.endings.begin(self.parts.table.find(uid), reason))

    def view(self, record: LeaseRecord) -> LeaseView:
        """The lease as its holder sees it now."""
        return record.view(self.parts.signer, self.parts.clock.now())

    async def close(self) -> None:
        """Stop keeping and wait for what is under way; leases and members stay as they are."""
        await self.claims.close()
        await self.keeper.close()
        await self.parts.binder.close()
        await asyncio.gather(*self.parts.tasks, return_exceptions=True)

    async def _see_to(self, record: LeaseRecord, held: Held) -> None:
        record.unverified |= {one.member.name: one for one in await self.parts.host.vanish(record, [held])}

    def record(self, uid: str, request: LeaseRequest, pools: tuple[str, ...], *, provisioned: bool) -> LeaseRecord:
        """A new lease, for `enter` or `adopt`, that arrives now."""
        loop, now = asyncio.get_running_loop(), self.parts.clock.now()
        return LeaseRecord(
            uid=uid,
            request=request,
            arrived=loop.time(),
            pools=pools,
            provisioned=provisioned,
            acquired=now,
            deadline=now + min(request.ttl_seconds, request.max_lifetime_seconds),
            wanted=request.count,
            settled=loop.create_future(),
        )

    def _settled(self, record: LeaseRecord) -> None:
        if not record.settled.cancelled() and record.settled.exception() is not None:
            self.endings.begin(record, record.ended or "Failed")

    def _live(self, uid: str) -> LeaseRecord:
        record = self.parts.table.find(uid)
        if record.ended:
            raise LeaseEndedError(f"the lease {record.request.request_id} has ended: {record.ended}", remedy="acquire")
        return record
