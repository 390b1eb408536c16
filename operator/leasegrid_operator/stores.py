"""The stores that leases own: handed over at the bind, served by one pod after another, and gone with their lease."""

import asyncio
import logging
from collections.abc import Callable, Container, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Disposal, Parts
from leasegrid.leasing.roster import Member
from leasegrid.rules.following import Step, next_step
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import ClusterError, NotFoundError
from leasegrid_operator.logs import Action, log
from leasegrid_operator.pools.ending import Reaper
from leasegrid_operator.pools.members import MemberBook
from leasegrid_operator.pools.pods import LEASE_KIND, MemberTemplate, Owner
from leasegrid_operator.pools.reading import PodFacts, no_pod, read_pod
from leasegrid_operator.pools.volumes import StoreMember, claim_name, end_store, reparent, succeed
from leasegrid_operator.resources import PODS, VOLUMES, ObjectKey

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
LONGEST_REST_SECONDS = 30.0
"""Servers that end before they can be bound are made ever more seldom."""

GONE_SECONDS = 60.0
"""A volume that is not gone by then stands in the receipt as unverified."""

LOOK_SECONDS = 5.0
"""Between two looks at a volume that does not go."""

Templates = Callable[[LeaseRecord, StoreMember], MemberTemplate | None]
"""By what the next server of a store is made; None when nothing says it any more."""


@dataclass(eq=False)
class _Store:
    """`member`: its newest server and its claim; `work`: what is under way for it; `rest_until`: monotonic; `lost`: no
    server will come any more; `gone`: nothing of it is left; `made`: servers since the last one that was bound.
    """

    member: StoreMember
    work: "asyncio.Task[None] | None" = None
    rest_until: float = 0.0
    lost: bool = False
    gone: bool = False
    made: int = 0

    @property
    def busy(self) -> bool:
        return self.work is not None and not self.work.done()


@dataclass(frozen=True)
class Surroundings:
    """Of one namespace."""

    cluster: Cluster
    parts: Parts
    members: MemberBook
    reaper: Reaper
    template: Templates


class LeaseStores:
    """Level-triggered: `tick` looks at every store of every living lease. Stores are kept by lease and first name."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._stores: dict[str, dict[str, _Store]] = {}
        self._looking: set[str] = set()
        self._gone: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def own(self, record: LeaseRecord, names: Iterable[str]) -> None:
        """Members of these names are the lease's own from now on, and so is what is on their claims."""
        stores = self._stores.setdefault(record.uid, {})
        for name in names:
            stem, member = claim_name(name), self._store_of(name, record.request.namespace)
            if member is None:
                continue
            known = stores.get(stem)
            if known is None:
                known = stores[stem] = _Store(member)
                self._around.reaper.leased(stem)
                self._begin(known, self._hand_over(known, owner_of(record)))
            elif member.pod.uid:
                known.member = member
        if not stores:
            del self._stores[record.uid]

    def resume(self, record: LeaseRecord, names: Iterable[str]) -> bool:
        """A lease of an earlier operator: its are claims that were bound to it, and those of members that its status
        names. What was made for it and never bound is as good as not made: it must not pass for what has its bytes.

        True when it has volumes.
        """
        named = {claim_name(name) for name in names}
        claims = {one.name for one in self._around.reaper.claims() if one.bound and one.owner_uid == record.uid}
        claims |= {name for name in named if self._may_have(record.uid, name)}
        self.own(record, [*names, *(self._newest(claim) for claim in claims)])
        # It may have grown since its object was made: what is on its volumes is not taken for given back.
        record.wanted = max(record.wanted, len(claims))
        return bool(claims)

    def tick(self) -> None:
        """Have every volume of a living lease served, and end those that it has given back."""
        now = asyncio.get_running_loop().time()
        for uid, stores in self._stores.items():
            record = self._around.parts.table.get(uid)
            if record is None or record.ended:
                continue
            volumes = [one for one in stores.values() if one.member.claim is not None and not one.lost]
            lacking = record.wanted - len(record.held) if record.settled.done() else 0
            unserved = sum(one.member.pod.name not in record.held for one in volumes)
            self._expect(record, max(0, min(lacking, unserved)))
            for store in volumes:
                if not store.busy and (now >= store.rest_until or self._stands(store)):
                    lacking -= self._step(record, store, lacking)

    async def reap(self, record: LeaseRecord) -> Disposal:
        """Delete all stores of a lease that is over, and see that they are gone."""
        mine = self._stores.pop(record.uid, {})
        stores = [*mine.values(), *self._unknown(record.uid, mine)]
        gone = await asyncio.gather(*(self._end(store) for store in stores))
        left = [name for one, is_gone in zip(stores, gone, strict=True) if not is_gone for name in self._names(one)]
        sizes = [one.member.claim.size for one in stores if one.gone and one.member.claim is not None]
        return Disposal(len(sizes), sum(sizes), tuple(left))

    def unseen(self, name: str) -> bool:
        """True while a volume of that name is there, or nobody knows whether it is."""
        if name in self._gone:
            return False
        if name not in self._looking:
            self._looking.add(name)
            self._beside(self._look(name))
        return True

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _step(self, record: LeaseRecord, store: _Store, lacking: int) -> bool:
        """Begin what is to be done; True when that brings the lease a member."""
        name = store.member.pod.name
        member = self._around.parts.roster.find(name)
        step = next_step(held=name in record.held, lacking=lacking, server=member.state if member else None)
        if step is Step.FOLLOW:
            self._begin(store, self._follow(record, store))
        elif step is Step.END:
            self._begin(store, self._give_up(store))
        elif step is not Step.REST and member is not None:
            self._begin(store, self._take(record, store, member, step))
        return step in (Step.FOLLOW, Step.BIND, Step.ADOPT)

    def _stands(self, store: _Store) -> bool:
        return self._around.parts.roster.find(store.member.pod.name) is not None

    def _expect(self, record: LeaseRecord, count: int) -> None:
        """What will be served again is not to be replaced by a member of the pool meanwhile."""
        if record.awaited != count:
            record.awaited = count
            record.touch()

    async def _hand_over(self, store: _Store, owner: Owner) -> None:
        while self._around.parts.table.get(owner.uid) is not None:
            try:
                await reparent(self._around.cluster, store.member, owner)
            except NotFoundError:
                return  # it is gone, and whoever watches pods and claims says so
            except ClusterError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _follow(self, record: LeaseRecord, store: _Store) -> None:
        store.rest_until = asyncio.get_running_loop().time() + RETRY_SECONDS
        template = self._around.template(record, store.member)
        if template is None:
            return
        try:
            name = await succeed(self._around.cluster, template, store.member, owner_of(record))
        except NotFoundError as error:
            store.lost = True
            log(logger, logging.WARNING, Action.MEMBER_LOST, str(error), member=store.member.pod.name)
            return
        except ClusterError:
            return  # the next look tries again
        if name is not None:
            store.made += 1
            store.rest_until += min(LONGEST_REST_SECONDS, RETRY_SECONDS * 2**store.made)
            await self._meet(store, ObjectKey(record.request.namespace, name))

    async def _meet(self, store: _Store, key: ObjectKey) -> None:
        """The server that was made is the store's newest from now on."""
        with suppress(ClusterError):  # it is not seen, so the next look makes it once more, by the same name
            made = read_pod(await self._around.cluster.get(PODS, key))
            store.member = replace(store.member, pod=made or store.member.pod)

    async def _take(self, record: LeaseRecord, store: _Store, member: Member, step: Step) -> None:
        parts = self._around.parts
        if step is Step.ADOPT and member.report is not None and member.report.lease_uid == record.uid:
            await parts.binder.adopt(record, member)
        elif step is not Step.BIND or not await parts.binder.bind(record, [member]):
            # Whatever came between: nobody else is to have it.
            member.lease = record.uid
            return
        store.made = 0
        record.touch()
        parts.ledger.write_down(record)

    async def _give_up(self, store: _Store) -> None:
        """The lease goes on without this one. What it was stands in the receipt all the same."""
        store.lost = await self._end(store)
        store.rest_until = asyncio.get_running_loop().time() + RETRY_SECONDS

    async def _end(self, store: _Store) -> bool:
        if store.gone:
            return True
        if store.work is not None and store.work is not asyncio.current_task():
            # A server that is being made would be left behind.
            await asyncio.gather(store.work, return_exceptions=True)
        member = store.member
        if member.claim is not None:
            # What is known of its volume may be older than that.
            member = replace(member, claim=self._around.reaper.claim_of(member.claim.name) or member.claim)
        try:
            store.gone = await end_store(self._around.cluster, member, GONE_SECONDS)
        except ClusterError:
            return False
        return store.gone

    def _may_have(self, uid: str, name: str) -> bool:
        """Whether there is a claim of this name, and it is no other lease's."""
        claim = self._around.reaper.claim_of(name)
        return claim is not None and (claim.owner_kind != LEASE_KIND or claim.owner_uid == uid)

    def _unknown(self, uid: str, known: Container[str]) -> list[_Store]:
        """Claims that say they are the lease's, but of which nothing else is known."""
        claims = [one for one in self._around.reaper.claims() if one.owner_uid == uid and one.name not in known]
        return [_Store(StoreMember(self._pod(self._newest(one.name), one.namespace), one)) for one in claims]

    def _store_of(self, name: str, namespace: str) -> StoreMember | None:
        """A member of single use, as far as it is known; None when there is nothing of it."""
        found, claim = self._around.members.find(name), self._around.reaper.claim_of(name)
        if found is None and claim is None:
            return None
        if found is not None and found[1].member.shape.reuse == "Reset":
            return None
        return StoreMember(self._pod(name, namespace), claim)

    def _pod(self, name: str, namespace: str) -> PodFacts:
        found = self._around.members.find(name)
        return found[1].facts if found is not None else no_pod(name, namespace)

    def _newest(self, claim: str) -> str:
        names = [one.name for one in self._around.parts.roster.all() if claim_name(one.name) == claim]
        return max(names, key=lambda name: (len(name), name), default=claim)

    def _names(self, store: _Store) -> list[str]:
        """What a receipt says of a store whose end nobody has seen: the pod, and the volume."""
        known = store.member.claim
        claim = known and (self._around.reaper.claim_of(known.name) or known)
        return [store.member.pod.name, *([claim.volume] if claim and claim.volume else [])]

    async def _look(self, volume: str) -> None:
        try:
            await self._around.cluster.get(VOLUMES, ObjectKey("", volume))
        except NotFoundError:
            self._gone.add(volume)
        except ClusterError as error:
            log(logger, logging.WARNING, Action.MEMBER_LOST, f"its end is not known: {error}", volume=volume)
        await asyncio.sleep(LOOK_SECONDS)
        self._looking.discard(volume)

    def _begin(self, store: _Store, work: Coroutine[None, None, None]) -> None:
        store.work = self._beside(work)

    def _beside(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def owner_of(record: LeaseRecord) -> Owner:
    """The lease as the owner of pods and claims."""
    return Owner(LEASE_KIND, record.request.request_id, record.uid, record.request.namespace)
