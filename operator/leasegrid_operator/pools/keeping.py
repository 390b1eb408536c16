"""Keeping pools: gathers the pods that were seen, lets the sizing rule decide, makes and ends pods.

Level-triggered: an observation only changes what is known; each pass, at most ten a second, looks at all of it, and
applied twice it does nothing the second time.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from leasegrid.api.enums import OperatingMode, ResourceKind
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.roster import Member
from leasegrid.rules.pool_conditions import conditions_of_invalid
from leasegrid.rules.pool_sizing import size_pool
from leasegrid.rules.pool_state import Observed, Pending, PoolDecision, PoolMember
from leasegrid.rules.reasons import RetireReason, WarmupFailure
from leasegrid.rules.refill import note_failure
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.pools.books import KeptPool, SeenPod
from leasegrid_operator.pools.demand import waiting_by_pool
from leasegrid_operator.pools.ending import Reaper
from leasegrid_operator.pools.events import PoolEvent
from leasegrid_operator.pools.members import Lost, MemberBook
from leasegrid_operator.pools.naming import member_number
from leasegrid_operator.pools.pods import LEASE_KIND, Owner
from leasegrid_operator.pools.reading import ClaimFacts, PodFacts, node_is_lost, read_claim, read_pod
from leasegrid_operator.pools.registry import PoolBook
from leasegrid_operator.pools.storage_classes import StorageClasses
from leasegrid_operator.pools.telling import Teller
from leasegrid_operator.pools.templates import MemberSettings
from leasegrid_operator.pools.writing import Made, Writer
from tasklet_runner.wire.member import MemberState


class PoolKeeper:
    """The pools of one namespace: `Planner` of its engine, and told of what is seen there. Needs a running event loop.

    `on_lost` is to be given before the first observation: it is told of each member that is gone, and why. `on_warmed`
    is told how long one took to be ready, in seconds.
    """

    def __init__(self, parts: Parts, cluster: Cluster, settings: MemberSettings, namespace: str) -> None:
        self._parts = parts
        self._writer = Writer(cluster)
        self._classes = StorageClasses(cluster, self._writer, parts.changed)
        self.pools = PoolBook(parts.pools, settings)
        self.members = MemberBook(parts, settings.port, settings.fabric_key)
        self.members.on_lost = self._lost
        self.reaper = Reaper(parts, self._writer, namespace)
        self.teller = Teller(cluster, parts, self._writer)
        self.on_lost: Lost = lambda member, cause: None
        self.on_warmed: Callable[[float], None] = lambda seconds: None

    def pool_seen(self, body: Mapping[str, Any], deleted: bool) -> None:
        """An InstancePool, now or last."""
        if deleted:
            self._forget(body["metadata"]["uid"])
            return
        known, kept = self.pools.find(body["metadata"]["uid"]), self.pools.see(body)
        if known is None:
            for claim in self.reaper.claims():
                self._count(kept, claim)
        self.teller.seen(kept.owner.uid, body)
        if kept.pool.spec.resource is ResourceKind.BLOCK:
            self._classes.look()
        self._meet_strays(kept, kept.owner.name)
        self._parts.changed()

    def pod_seen(self, body: Mapping[str, Any], deleted: bool) -> None:
        """A pod with our label, now or last: of a deletion that nobody saw only name and uid are known."""
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        if deleted:
            self.reaper.pod_gone(name, uid)
            self.members.gone(name, uid, "its pod was deleted")
        elif (facts := read_pod(body)) is not None:
            self._see(facts, self._pool_of(facts))
        self._parts.changed()

    def claim_seen(self, body: Mapping[str, Any], deleted: bool) -> None:
        """A PersistentVolumeClaim with our label, now or last."""
        if deleted:
            self.reaper.claim_gone(body["metadata"]["name"], body["metadata"]["uid"])
        elif (claim := read_claim(body)) is not None:
            self.reaper.claim_seen(claim)
            self._count(self.pools.named(claim.pool), claim)

    def node_seen(self, body: Mapping[str, Any], deleted: bool) -> None:
        """A Node, now or last."""
        if self.members.node_lost(body["metadata"]["name"], deleted or node_is_lost(body)):
            self._parts.changed()

    def provide(self, owner: Owner, spec: InstancePoolSpec) -> KeptPool:
        """Have members made for one lease alone; see `PoolBook.provide`."""
        kept = self.pools.provide(owner, spec)
        self._meet_strays(kept, "")
        self._parts.changed()
        return kept

    def withdraw(self, lease_uid: str) -> None:
        """The lease for which members were made has ended: those that it did not use end as well."""
        kept = self.pools.find(lease_uid)
        if kept is not None:
            kept.pool.spec = kept.pool.spec.model_copy(update={"operating_mode": OperatingMode.DRAINING})
            kept.ended = True
            self._parts.changed()

    def run(self) -> float | None:
        """See `Planner.run`."""
        self.members.look_at_doubtful()
        waiting = waiting_by_pool(self._parts)
        looks = [self._keep(kept, waiting.get(kept.pool.name, 0)) for kept in self.pools.all()]
        looks += [self.teller.flush(), self.reaper.run(self.pools.all())]
        return min((look for look in looks if look is not None), default=None)

    async def close(self) -> None:
        """Give up what is under way; members and leases stay as they are."""
        await self.reaper.close()
        await self._writer.close()

    def _keep(self, kept: KeptPool, waiting: int) -> float | None:
        members = self._look(kept)
        if kept.faults:
            return self.teller.tell(kept, conditions_of_invalid(kept.faults), members)
        if kept.ended and not kept.pods and not kept.pending:
            self._forget(kept.owner.uid)
            return None
        if kept.pool.spec.resource is ResourceKind.BLOCK:
            verdict = self._classes.verdict(kept.pool.spec)
            if verdict is None:
                return None
            self.pools.judge(kept, verdict)
        decision = self._decide(kept, members, waiting)
        self._make(kept, decision.create)
        self._retire(kept, decision)
        if kept.provisioned:
            return decision.look_again_in
        looks = (decision.look_again_in, self.teller.tell(kept, decision.conditions, members))
        return min((look for look in looks if look is not None), default=None)

    def _decide(self, kept: KeptPool, members: list[PoolMember], waiting: int) -> PoolDecision:
        pool = kept.pool
        complaint = kept.complaint or (self.pools.default_complaint if kept.is_default else None)
        observed = Observed(
            wall_time=time.time(),
            members=tuple(members),
            pending=kept.pending,
            waiting=waiting,
            template=kept.template.hash,
            template_since=kept.template_since,
            bucket=pool.bucket,
            failures=pool.failures,
            complaint=complaint,
        )
        decision = size_pool(pool.spec, observed, _now())
        pool.bucket, pool.failures, pool.conditions = decision.bucket, decision.failures, decision.conditions
        kept.pending, kept.effective_target = decision.pending, decision.effective_target
        return decision

    def _make(self, kept: KeptPool, count: int) -> None:
        def made(one: Made) -> None:
            self._made(kept, one)

        now = _now()
        names = [self._writer.make(kept.template, kept.next_number(), made) for _ in range(count)]
        kept.pending += tuple(Pending(name, now) for name in names)

    def _made(self, kept: KeptPool, made: Made) -> None:
        if made.stands:
            self.teller.events.note(kept.owner, PoolEvent.PROVISIONED, made.name)
        else:
            kept.pending = tuple(one for one in kept.pending if one.name != made.name)
            self.reaper.unused(made.name)
        if made.trouble is not None:
            self._fail(kept, made.name, made.trouble.reason, made.trouble.message)
        self._parts.changed()

    def _retire(self, kept: KeptPool, decision: PoolDecision) -> None:
        for seen, reason in self.reaper.retire(kept, decision.retire):
            if reason is RetireReason.WARMUP_TIMEOUT and not seen.noted:
                grace = f"was not ready within {kept.pool.spec.warmup_grace_seconds} s"
                self._fail(kept, seen.facts.name, WarmupFailure.TIMEOUT, grace)

    def _fail(self, kept: KeptPool, name: str, reason: WarmupFailure, message: str) -> None:
        kept.pool.failures = note_failure(kept.pool.failures, reason, f"{name}: {message}", _now())
        self.teller.events.note(kept.owner, PoolEvent.FAILED, f"{name}: {message}")

    def _look(self, kept: KeptPool) -> list[PoolMember]:
        """Every member as its pool sees it; what changed since the last look is told."""
        members = []
        for seen in kept.pods.values():
            view, before = seen.looked_at(), seen.view
            if view is not before:
                self._changed(kept, seen, before, view)
                seen.view = view
            members.append(view)
        if kept.pool.spec.resource is ResourceKind.BLOCK:
            members += [PoolMember(one.name, MemberState.CLAIMED, 0.0) for one in self.reaper.unserved(kept)]
        return members

    def _changed(self, kept: KeptPool, seen: SeenPod, before: PoolMember | None, view: PoolMember) -> None:
        note, owner = self.teller.events.note, kept.owner
        if view.state is MemberState.READY and not seen.warmed:
            seen.warmed = True
            note(owner, PoolEvent.WARMED, view.name)
            self.on_warmed(max(0.0, time.time() - seen.facts.created))
        claims = view.claims - before.claims if before is not None else 0
        for _ in range(claims):
            note(owner, PoolEvent.CLAIMED, view.name)
        held = before is not None and before.state is MemberState.CLAIMED and view.state is not MemberState.CLAIMED
        for _ in range(max(claims - (view.state is MemberState.CLAIMED), int(held))):
            note(owner, PoolEvent.RELEASED, view.name)

    def _see(self, facts: PodFacts, kept: KeptPool | None) -> None:
        if facts.ended:
            self._end(facts, kept)
            return
        seen = self.members.see(facts, kept)
        found = self.members.find(facts.name)
        if seen is not None and found is not None:
            self._note_trouble(found[0], seen)

    def _end(self, facts: PodFacts, kept: KeptPool | None) -> None:
        """Its process has ended for good: the member is gone, and so is soon its pod."""
        found = self.members.find(facts.name)
        if found is not None:
            found[1].facts = facts
            self._note_trouble(*found)
        elif kept is not None and any(one.name == facts.name for one in kept.pending):
            # It ended before it was ever seen to live.
            kept.pending = tuple(one for one in kept.pending if one.name != facts.name)
            if facts.trouble is not None:
                self._fail(kept, facts.name, facts.trouble.reason, facts.trouble.message)
        if found is not None or kept is not None or facts.owner_kind == LEASE_KIND:
            self.reaper.end(facts)
        self.members.gone(facts.name, facts.uid, _why_ended(facts))

    def _note_trouble(self, kept: KeptPool, seen: SeenPod) -> None:
        trouble = seen.facts.trouble
        if trouble is not None and not (seen.noted or seen.warmed):
            seen.noted = True
            self._fail(kept, seen.facts.name, trouble.reason, trouble.message)

    def _count(self, kept: KeptPool | None, claim: ClaimFacts) -> None:
        """Of a member that is gone the claim may live, under a lease: no other pod is to have its name."""
        if kept is not None:
            kept.number = max(kept.number, member_number(claim.name, kept.owner.name, kept.owner.uid))

    def _pool_of(self, facts: PodFacts) -> KeptPool | None:
        kept = self.pools.find(facts.owner_uid)
        if kept is None and facts.owner_kind == LEASE_KIND and facts.pool:
            return self.pools.named(facts.pool)
        return kept

    def _meet_strays(self, kept: KeptPool, name: str) -> None:
        for facts in self.members.strays_of(kept.owner.uid, name):
            self._see(facts, kept)

    def _lost(self, member: Member, cause: str) -> None:
        pool = self._parts.pools.get(member.pool)
        kept = next((one for one in self.pools.all() if one.pool is pool), None)
        if kept is not None:
            self.teller.events.note(kept.owner, PoolEvent.TERMINATED, f"{member.name}: {cause}")
        self.on_lost(member, cause)

    def _forget(self, uid: str) -> None:
        kept = self.pools.forget(uid)
        if kept is not None:
            self.members.abandon(kept)
            self.teller.forget(uid)
            self._parts.changed()


def _why_ended(facts: PodFacts) -> str:
    return "its process has ended" if facts.trouble is None else facts.trouble.message


def _now() -> float:
    return asyncio.get_running_loop().time()
