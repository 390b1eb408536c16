"""A fabric in memory: scripted members in this process, leases as plain records, no clock of its own but the loop's."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import (
    LeaseEndedError,
    LeaseGridError,
    PoolEmptyError,
    UnreachableError,
    UnsupportedError,
)
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import Capability, MemberGrant
from tests.support.scripted_member import Script, ScriptedMember


@dataclass
class _Lease:
    request: LeaseRequest
    uid: str
    wanted: int
    members: list[ScriptedMember] = field(default_factory=list)
    version: int = 1
    deadline: float = 0.0
    ended: str = ""
    held: set[str] = field(default_factory=set)


class MemoryFabric:
    """Implements `Fabric`. `free` members can be bound; `renewals_fail` makes the broker unreachable for renewals.

    Members of stores are only names: `take_store` is the end of one, and with `follow` another one comes after it.
    """

    def __init__(self, members: Iterable[ScriptedMember] = ()) -> None:
        self.free = list(members)
        self.leases: dict[str, _Lease] = {}
        self.renewals_fail = False
        self.receipts: dict[str, Receipt] = {}
        self.lost: list[tuple[str, str]] = []
        self.given_back: list[str] = []
        self.watch_seconds = 0.2
        self.stores_made = 0
        self.silent: set[str] = set()
        self.shown: list[tuple[str, str]] = []
        self.refused_stores: list[LeaseGridError] = []
        self.stores_come = asyncio.Event()
        self.stores_come.set()
        self._key = Ed25519PrivateKey.generate()
        self._changed = asyncio.Condition()

    async def add(self, member: ScriptedMember) -> None:
        """One more member is ready; elastic leases grow."""
        self.free.append(member)
        await self._grow()

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        """See `Fabric.acquire`."""
        for lease in self.leases.values():
            if lease.request.request_id == request.request_id:
                return self._view(lease)
        if request.resource != "CPU":
            await self.stores_come.wait()
            return self._store(request)
        everyone = [*self.free, *(member for lease in self.leases.values() for member in lease.members)]
        if everyone and not any(_satisfies(member, request) for member in everyone):
            raise UnsupportedError(f"no member has {request.slots} slots", remedy="make a pool of larger members")
        lease = _Lease(request, f"lease-{len(self.leases)}", request.count)
        if sum(_satisfies(member, request) for member in self.free) < request.min_count:
            raise PoolEmptyError("no member is ready", remedy="wait, or enlarge the pool")
        self.leases[lease.uid] = lease
        self._fill(lease)
        lease.deadline = time.monotonic() + request.ttl_seconds
        return self._view(lease)

    def _store(self, request: LeaseRequest) -> LeaseView:
        if self.refused_stores:
            raise self.refused_stores.pop(0)
        lease = _Lease(request, f"lease-{len(self.leases)}", 1, deadline=time.monotonic() + request.ttl_seconds)
        self.leases[lease.uid] = lease
        self._serve_store(lease)
        return self._view(lease)

    def _serve_store(self, lease: _Lease) -> None:
        self.stores_made += 1
        store = ScriptedMember(f"store-{self.stores_made}", Path("/nowhere"), Script(), epoch=self.stores_made)
        lease.members.append(store)
        lease.held.add(store.name)

    async def show(self, member: LeasedMember, capability: str) -> None:
        """What members of stores are shown; those in `silent` do not answer."""
        if member.name in self.silent:
            raise UnreachableError(f"{member.name} does not answer")
        self.shown.append((member.name, capability))

    async def take_store(self, *, follow: bool = False) -> None:
        """The member of the latest lease of a store is gone."""
        lease = [one for one in self.leases.values() if one.request.resource != "CPU"][-1]
        lease.members.clear()
        await self._touch(lease)
        if follow:
            self._serve_store(lease)
            await self._touch(lease)

    async def watch(self, uid: str, version: int) -> LeaseView:
        """See `Fabric.watch`."""
        lease = self.leases[uid]
        try:
            async with asyncio.timeout(self.watch_seconds), self._changed:
                await self._changed.wait_for(lambda: lease.version > version)
        except TimeoutError:
            pass
        return self._view(lease)

    async def renew(self, uid: str) -> LeaseView:
        """See `Fabric.renew`."""
        lease = self.leases[uid]
        if self.renewals_fail:
            raise UnreachableError("the broker does not answer")
        if lease.ended or time.monotonic() > lease.deadline:
            raise LeaseEndedError("the lease is over")
        lease.deadline = time.monotonic() + lease.request.ttl_seconds
        await self._touch(lease)
        return self._view(lease)

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """See `Fabric.resize`."""
        lease = self.leases[uid]
        lease.wanted = count
        for member in [member for member in lease.members if member.name in give_back]:
            lease.members.remove(member)
            self.given_back.append(member.name)
            self.free.append(member)
        self._fill(lease)
        await self._touch(lease)
        await self._grow()
        return self._view(lease)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """See `Fabric.report_lost`."""
        lease = self.leases[uid]
        self.lost.append((member, reason))
        lease.members = [other for other in lease.members if other.name != member]
        self._fill(lease)
        await self._touch(lease)
        return self._view(lease)

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """See `Fabric.release`."""
        lease = self.leases[uid]
        if uid not in self.receipts:
            lease.ended = reason
            if lease.request.resource == "CPU":
                self.free += lease.members
            lease.members = []
            self.receipts[uid] = Receipt(lease_uid=uid, reason=reason, members=tuple(sorted(lease.held)))
            await self._touch(lease)
        return self.receipts[uid]

    async def begin_anew(self) -> None:
        """As another process would: it has the leases as they were acquired, and does not know how they have grown."""
        for lease in self.leases.values():
            lease.wanted = 1
            await self._touch(lease)

    @property
    def wanted(self) -> int:
        """Members that all leases want."""
        return sum(lease.wanted for lease in self.leases.values() if not lease.ended)

    @property
    def held(self) -> int:
        """Members under any lease."""
        return sum(len(lease.members) for lease in self.leases.values())

    async def _grow(self) -> None:
        for lease in self.leases.values():
            if not lease.ended and self._fill(lease):
                await self._touch(lease)

    async def _touch(self, lease: _Lease) -> None:
        async with self._changed:
            lease.version += 1
            self._changed.notify_all()

    def _fill(self, lease: _Lease) -> bool:
        """Bind members up to what the lease wants; True when some were."""
        grown = False
        for member in list(self.free) if lease.request.resource == "CPU" else ():
            if len(lease.members) < lease.wanted and _satisfies(member, lease.request):
                self.free.remove(member)
                member.epoch += 1
                lease.members.append(member)
                lease.held.add(member.name)
                grown = True
        return grown

    def _view(self, lease: _Lease) -> LeaseView:
        grants = tuple(MemberGrant(member.name, member.incarnation, member.epoch) for member in lease.members)
        capability = Capability(
            lease_uid=lease.uid,
            holder_key=lease.request.holder_key,
            members=grants,
            issued_at=lease.deadline - 1,
            deadline=lease.deadline,
            expires_at=lease.deadline,
        )
        return LeaseView(
            uid=lease.uid,
            name=lease.uid,
            version=lease.version,
            members=tuple(member.seen for member in lease.members),
            capabilities=(sign(capability, self._key),),
            expires_in=lease.deadline - time.monotonic() if lease.deadline else lease.request.ttl_seconds,
            ttl_seconds=lease.request.ttl_seconds,
            wanted=lease.wanted,
            ended=lease.ended,
        )


def _satisfies(member: ScriptedMember, request: LeaseRequest) -> bool:
    return (
        member.slots >= request.slots
        and member.tasklet_memory >= request.memory
        and set(request.cpu_features) <= set(member.cpu_features)
    )
