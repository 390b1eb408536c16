"""What each route does, once its caller has come in: one short function each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from leasegrid_operator.broker.credentials import Knock, Visitor
from leasegrid_operator.broker.desk import Desk
from leasegrid_operator.broker.renewing import renewed, view_of
from leasegrid_operator.broker.requests import check_lease_request, read_body, read_version
from tasklet_runner.fabric.protocol import Fabric
from tasklet_runner.wire.broker import Accepted, LostReport, ResizeRequest
from tasklet_runner.wire.errors import NotLeaderError, RefusedError
from tasklet_runner.wire.jobs import JobReport
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.member import Hint
from tasklet_runner.wire.signed import sign

MAX_REASON = 128


@dataclass(frozen=True)
class Call:
    """A request that was let in."""

    knock: Knock
    visitor: Visitor
    query: Mapping[str, str]


class Operations:
    """The routes of leases and hints; every method raises LeaseGridError of the fabric's kinds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.by_name: dict[str, Callable[[Call], Awaitable[msgspec.Struct]]] = {
            "acquire": self.acquire,
            "acquire-below": self.acquire_below,
            "progress": self.progress,
            "watch": self.watch,
            "renew": self.renew,
            "resize": self.resize,
            "lost": self.lost,
            "release": self.release,
            "hint": self.hint,
        }

    async def acquire(self, call: Call) -> msgspec.Struct:
        """The path's namespace counts, whatever the body says; so does the token's owner where nobody is named."""
        wanted = read_body(call.knock.body, LeaseRequest)
        check_lease_request(wanted)
        holder = wanted.holder_identity or call.visitor.name
        return await self._fabric(call).acquire(replace(wanted, namespace=call.knock.namespace, holder_identity=holder))

    async def acquire_below(self, call: Call) -> msgspec.Struct:
        """For the same holder alone, and no more than its job may have."""
        wanted = read_body(call.knock.body, LeaseRequest)
        check_lease_request(wanted)
        own = call.visitor.capability
        if own is None or wanted.holder_key != own.holder_key or not wanted.parent:
            raise RefusedError(
                "Forbidden", "a lease below another is its holder's, and names it as its parent", remedy="do so"
            )
        below = self._desk.below(call.knock.namespace, call.knock.uid)
        if wanted.count > below.most:
            raise RefusedError("Forbidden", f"the job may have {below.most} members in all", remedy="want fewer")
        return await below.fabric.acquire(replace(wanted, namespace=call.knock.namespace))

    async def progress(self, call: Call) -> msgspec.Struct:
        """Heard; the answer says what is to be done."""
        report = read_body(call.knock.body, JobReport)
        return self._desk.reported(call.knock.namespace, call.knock.uid, report)

    async def watch(self, call: Call) -> msgspec.Struct:
        """Long: see Fabric.watch."""
        return await self._fabric(call).watch(call.knock.uid, read_version(call.query.get("version", "0")))

    async def renew(self, call: Call) -> msgspec.Struct:
        """At the leader of the whole lease; elsewhere of the one capability that was shown."""
        if self._desk.is_leader:
            return await self._fabric(call).renew(call.knock.uid)
        now = self._desk.now()
        capability = renewed(call.visitor.capability, now) if call.visitor.capability is not None else None
        if capability is None:
            raise NotLeaderError(self._desk.leader_address)
        return view_of(capability, sign(capability, self._desk.fabric_key), now)

    async def resize(self, call: Call) -> msgspec.Struct:
        """See Fabric.resize."""
        wanted = read_body(call.knock.body, ResizeRequest)
        return await self._fabric(call).resize(call.knock.uid, wanted.count, wanted.give_back)

    async def lost(self, call: Call) -> msgspec.Struct:
        """See Fabric.report_lost."""
        report = read_body(call.knock.body, LostReport)
        return await self._fabric(call).report_lost(call.knock.uid, report.member, report.reason)

    async def release(self, call: Call) -> msgspec.Struct:
        """At the leader of the whole lease; elsewhere of the members that the capability lists."""
        reason = (call.query.get("reason", "") or "Finished")[:MAX_REASON]
        if self._desk.is_leader:
            return await self._fabric(call).release(call.knock.uid, reason)
        if call.visitor.capability is None:
            raise NotLeaderError(self._desk.leader_address)
        return await self._desk.release(call.knock.namespace, call.visitor.capability, reason)

    async def hint(self, call: Call) -> msgspec.Struct:
        """Heard; what becomes of it is the desk's business."""
        self._desk.hinted(read_body(call.knock.body, Hint))
        return Accepted()

    def _fabric(self, call: Call) -> Fabric:
        return self._desk.fabric(call.knock.namespace)
