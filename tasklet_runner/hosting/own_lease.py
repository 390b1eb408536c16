"""The fabric as a coordinator sees it that is itself on a leased member: its first workers come with its own lease.

The coordinator's lease is elastic and has one member, whose slots work too. The first request for workers that this
lease could serve is answered by making it larger; all others are leases below it, and end with it.
"""

import sys
from dataclasses import dataclass

from tasklet_runner.fabric.protocol import Fabric, LeaseRequest, LeaseView, Receipt


@dataclass(frozen=True)
class OwnTerms:
    """What the coordinator's own lease was acquired for: a request for the same can be served by it."""

    pools: tuple[str, ...]
    slots: int
    memory: int
    cpu_features: tuple[str, ...]

    def serve(self, request: LeaseRequest) -> bool:
        """True when members of the lease are such as are asked for."""
        return (
            request.resource == "CPU"
            and (request.pools, request.slots, request.cpu_features) == (self.pools, self.slots, self.cpu_features)
            and request.memory <= self.memory
        )


class OwnLeaseFabric:
    """Implements `Fabric` on another one. `member` is the name of the one on which this process is."""

    def __init__(self, fabric: Fabric, view: LeaseView, terms: OwnTerms) -> None:
        self.view = view
        self.member = view.members[0].name
        self._fabric = fabric
        self._terms = terms
        self._serving = False

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        """See `Fabric.acquire`."""
        if self._serving or not self._terms.serve(request):
            return await self._fabric.acquire(request)
        self._serving = True
        return self._learn(await self._fabric.resize(self.view.uid, request.count))

    async def watch(self, uid: str, version: int) -> LeaseView:
        """See `Fabric.watch`."""
        return self._learn(await self._fabric.watch(uid, version))

    async def renew(self, uid: str) -> LeaseView:
        """See `Fabric.renew`."""
        return self._learn(await self._fabric.renew(uid))

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """See `Fabric.resize`. The member of this process is never given back."""
        if uid != self.view.uid:
            return await self._fabric.resize(uid, count, give_back)
        others = tuple(name for name in give_back if name != self.member)
        return self._learn(await self._fabric.resize(uid, max(count, 1), others))

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """See `Fabric.report_lost`."""
        if uid == self.view.uid and member == self.member:
            sys.stderr.write(f"coordinator: its own member is of no use to it: {reason}\n")
            return await self.renew(uid)
        return self._learn(await self._fabric.report_lost(uid, member, reason))

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """See `Fabric.release`. This process's own lease is the fabric's to end, once the job's end is written."""
        if uid != self.view.uid:
            return await self._fabric.release(uid, reason)
        others = tuple(one.name for one in self.view.members if one.name != self.member)
        self._learn(await self._fabric.resize(uid, 1, others))
        self._serving = False
        return Receipt(lease_uid=uid, reason=reason, members=())

    def _learn(self, view: LeaseView) -> LeaseView:
        if view.uid == self.view.uid and view.version >= self.view.version:
            self.view = view
        return view
