"""Pods as members: what is seen of a pod goes into the roster, and out of it when the pod is gone.

A pod belongs to the pool, or to the lease, that its controlling ownerReference names by its uid; labels are only an
index.
"""

import asyncio
import time
from collections.abc import Callable, Collection

from leasegrid.leasing.parts import Parts
from leasegrid.leasing.roster import Member
from leasegrid_operator.pools.books import KeptPool, SeenPod
from leasegrid_operator.pools.naming import member_number
from leasegrid_operator.pools.pods import LEASE_KIND
from leasegrid_operator.pools.reading import PodFacts
from tasklet_runner.wire.member import MemberState

Lost = Callable[[Member, str], None]
"""Told of each member that is gone, and why, in words."""

PROVISIONAL_SECONDS = 5.0
"""A bind that nobody confirms is undone by its member after so long: until then an unreachable one may be claimed."""

OVERDUE_SECONDS = 30.0
"""A pod that is still there so long after its end was due stands on a node that tells nothing any more."""


class MemberBook:
    """The pods of one namespace. Nothing here waits or writes. `port`: where members listen; `key`: the fabric's."""

    def __init__(self, parts: Parts, port: int, key: str = "") -> None:
        self._parts = parts
        self._port = port
        self._key = key
        self._strays: dict[str, PodFacts] = {}
        self._pods: dict[str, tuple[KeptPool, SeenPod]] = {}
        self._lost_nodes: set[str] = set()
        self._doubtful: dict[str, SeenPod] = {}
        self.on_lost: Lost = lambda member, cause: None

    def find(self, name: str) -> tuple[KeptPool, SeenPod] | None:
        """A member's pod and its pool."""
        return self._pods.get(name)

    def see(self, facts: PodFacts, kept: KeptPool | None) -> SeenPod | None:
        """A pod as it is now; `kept`: the pool it belongs to, if that is kept. None for one that is no member."""
        known = self._pods.get(facts.name)
        if known is not None and known[1].facts.uid != facts.uid:
            self.gone(facts.name, known[1].facts.uid, "its pod was replaced by another of its name")
            known = None
        if known is None and kept is None:
            self._strays[facts.name] = facts
            return None
        seen = known[1] if known is not None else self._meet(facts, kept)
        self._update(seen, facts)
        return seen

    def strays_of(self, uid: str, pool: str) -> list[PodFacts]:
        """Pods that were seen before their pool was: of this owner, or of a lease that took them from that pool (if
        one is named).
        """
        return [
            facts
            for facts in self._strays.values()
            if facts.owner_uid == uid or (pool and facts.owner_kind == LEASE_KIND and facts.pool == pool)
        ]

    def owned_by(self, uids: Collection[str]) -> list[PodFacts]:
        """Every pod that belongs to one of these owners."""
        known = [*self._strays.values(), *(seen.facts for _, seen in self._pods.values())]
        return [facts for facts in known if facts.owner_uid in uids]

    def gone(self, name: str, uid: str, cause: str) -> None:
        """A pod is gone, or its process has ended for good."""
        self._strays.pop(name, None)
        known = self._pods.get(name)
        if known is None or known[1].facts.uid != uid:
            return
        kept, seen = known
        del self._pods[name]
        kept.pods.pop(name, None)
        self._doubtful.pop(name, None)
        if self._parts.roster.find(name) is seen.member:
            self.on_lost(seen.member, seen.ending or cause)

    def abandon(self, kept: KeptPool) -> None:
        """The pool is gone: none of its members is offered any more, and its pods are collected."""
        for seen in kept.pods.values():
            seen.member.retiring, seen.ending = True, "its pool was deleted"
            self._parts.roster.file(seen.member)

    def node_lost(self, node: str, lost: bool) -> bool:
        """A node is not heard of any more, or is again; False when that was known."""
        if lost == (node in self._lost_nodes):
            return False
        (self._lost_nodes.add if lost else self._lost_nodes.discard)(node)
        for _, seen in self._pods.values():
            if seen.facts.node == node:
                self._doubt(seen)
        return True

    def look_at_doubtful(self) -> None:
        """Reckon anew when members that may be on dead nodes leave the count: leases may have been renewed."""
        now, wall = asyncio.get_running_loop().time(), time.time()
        for name, seen in list(self._doubtful.items()):
            if self._is_lost(seen, wall):
                seen.lost_since = now if seen.lost_since is None else seen.lost_since
                last = max(seen.lost_since, self._last_deadline(seen.member, now))
                seen.member.gone_at = last + PROVISIONAL_SECONDS
            else:
                seen.lost_since = seen.member.gone_at = None
                if seen.facts.deleting is None and seen.facts.node not in self._lost_nodes:
                    del self._doubtful[name]

    def _meet(self, facts: PodFacts, kept: KeptPool | None) -> SeenPod:
        if kept is None:
            raise ValueError(f"the pod {facts.name} has no pool")
        self._strays.pop(facts.name, None)
        member = Member(facts.name, kept.pool.name, kept.pool.shape, "", _since(facts), template=facts.template)
        number = member_number(facts.name, kept.owner.name, kept.owner.uid)
        if facts.owner_kind == LEASE_KIND and not (kept.provisioned and number):
            # It is its lease's for ever, and its place there is decided: whatever it says, no claim gets it.
            member.lease, member.retiring = facts.owner_uid, True
        member.stranger = facts.fabric_key not in ("", self._key)
        seen = SeenPod(facts, member, warmed=facts.ready is not None)
        kept.pods[facts.name] = seen
        kept.number = max(kept.number, number)
        self._pods[facts.name] = (kept, seen)
        self._parts.roster.add(member)
        return seen

    def _update(self, seen: SeenPod, facts: PodFacts) -> None:
        member, seen.facts = seen.member, facts
        member.node = facts.node
        if facts.running and not member.started:
            member.endpoint, member.started = facts.endpoint(self._port), True
            # It is asked soon after its process runs, should its own word be lost.
            self._parts.roster.file(member)
        if facts.deleting is not None:
            member.retiring = True
            self._parts.roster.file(member)
            self._doubt(seen)
        elif facts.node in self._lost_nodes:
            self._doubt(seen)

    def _doubt(self, seen: SeenPod) -> None:
        self._doubtful[seen.facts.name] = seen
        member = seen.member
        if member.free and seen.facts.node in self._lost_nodes:
            # Until it answers again it is as one that is coming up: no claim is sent there.
            member.state, member.since = MemberState.WARMING, asyncio.get_running_loop().time()
            self._parts.roster.file(member)

    def _is_lost(self, seen: SeenPod, wall: float) -> bool:
        overdue = seen.facts.deleting is not None and wall > seen.facts.deleting + OVERDUE_SECONDS
        return overdue or (seen.facts.node in self._lost_nodes and not self._has_answered(seen.member))

    def _has_answered(self, member: Member) -> bool:
        """True for one that was asked since its node is lost, and is ready: only the node's own agent is silent.

        Others in its place would be too many as soon as claims, which find it, are counted.
        """
        return member.state is MemberState.READY and not member.retiring

    def _last_deadline(self, member: Member, now: float) -> float:
        """The last instant at which the member may still be working for its lease, monotonic."""
        record = self._parts.table.get(member.lease)
        return 0.0 if record is None else now + record.deadline - self._parts.clock.now()


def _since(facts: PodFacts) -> float:
    """When it began to warm up, monotonic; one that was ready before we came is only unknown yet."""
    now = asyncio.get_running_loop().time()
    return now if facts.ready is not None else now - max(0.0, time.time() - facts.created)
