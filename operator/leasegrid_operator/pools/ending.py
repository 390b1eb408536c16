"""Ends members: an idle one only after it agreed, any other when it can serve nobody; and what they leave behind.

What is to end stands in a table until it is seen to be gone: a delete whose answer was lost is asked for again.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

from leasegrid.leasing.parts import Parts
from leasegrid.rules.pool_state import Retirement
from leasegrid.rules.reasons import RetireReason
from leasegrid_operator.pools.books import KeptPool, SeenPod
from leasegrid_operator.pools.pods import LEASE_KIND
from leasegrid_operator.pools.reading import ClaimFacts, PodFacts
from leasegrid_operator.pools.volumes import claim_name
from leasegrid_operator.pools.writing import AGAIN_SECONDS, Doomed, Writer
from leasegrid_operator.resources import CLAIMS, PODS, ObjectKey
from tasklet_runner.wire.member import MemberState

UNUSED_CLAIM_SECONDS = 120.0
"""A claim that has no pod for so long was left by a creation of which only the first half succeeded."""

_UNANSWERING = frozenset({RetireReason.WARMUP_TIMEOUT, RetireReason.FENCED})


class Reaper:
    """The ends of one namespace's members. Only `close` waits."""

    def __init__(self, parts: Parts, writer: Writer, namespace: str) -> None:
        self._parts = parts
        self._writer = writer
        self._namespace = namespace
        self._ending: dict[str, PodFacts] = {}
        self._claims: dict[str, ClaimFacts] = {}
        self._leased: set[str] = set()
        self._held_back: set[str] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    def retire(self, kept: KeptPool, retirements: Sequence[Retirement]) -> list[tuple[SeenPod, RetireReason]]:
        """End these members; returns those that are taken down without asking, with the reason."""
        taken_down = []
        for one in retirements:
            seen = kept.pods.get(one.name)
            if seen is None or seen.member.retiring:
                continue
            seen.ending = f"its pool ended it ({one.reason.value})"
            if one.reason in _UNANSWERING or seen.member.state in (MemberState.WARMING, MemberState.FENCED):
                seen.member.retiring = True
                self._parts.roster.file(seen.member)
                self.end(seen.facts)
                taken_down.append((seen, one.reason))
            else:
                self._beside(seen)
        return taken_down

    def end(self, facts: PodFacts) -> None:
        """Delete the pod, and see to it until it is gone."""
        self._ending[facts.name] = facts
        self._writer.end(self._pod(facts))

    def end_claim(self, claim: ClaimFacts) -> None:
        """Delete the claim; its volume goes with it."""
        self._writer.end(Doomed(CLAIMS, ObjectKey(self._namespace, claim.name), claim.uid))

    def pod_gone(self, name: str, uid: str) -> None:
        """A pod is gone; an unclaimed member's volume, which nobody has written to, goes with it."""
        self._writer.ended(Doomed(PODS, ObjectKey(self._namespace, name), uid))
        ending = self._ending.get(name)
        if ending is not None and ending.uid == uid:
            del self._ending[name]
        self.unused(name)

    def unused(self, name: str) -> None:
        """The pod of that name is gone, or was never made: of its claim nobody has made use."""
        if self._held_back is not None:
            self._held_back.add(name)
            return
        claim = self._claims.get(name)
        if claim is not None and claim.owner_kind != LEASE_KIND and name not in self._leased:
            self.end_claim(claim)

    def hold_back(self) -> None:
        """End no claim for the time being: which of them leases have is not known yet."""
        self._held_back = set()

    def go_on(self) -> None:
        """It is known from now on."""
        names, self._held_back = self._held_back or set(), None
        for name in names:
            self.unused(name)

    def leased(self, name: str) -> None:
        """A lease has the claim from now on, whatever has been seen of it yet."""
        self._leased.add(name)

    def claim_seen(self, claim: ClaimFacts) -> None:
        """A claim as it is now."""
        self._claims[claim.name] = claim

    def claim_gone(self, name: str, uid: str) -> None:
        """A claim is gone."""
        claim = self._claims.get(name)
        if claim is not None and claim.uid == uid:
            del self._claims[name]
            self._leased.discard(name)
        self._writer.ended(Doomed(CLAIMS, ObjectKey(self._namespace, name), uid))

    def claim_of(self, name: str) -> ClaimFacts | None:
        """A member's claim, by the member's name; that of a successor has the first one's."""
        return self._claims.get(name) or self._claims.get(claim_name(name))

    def claims(self) -> list[ClaimFacts]:
        """Every claim that is there."""
        return list(self._claims.values())

    def unserved(self, kept: KeptPool) -> list[ClaimFacts]:
        """Volumes of the pool that leases hold and no pod serves at the moment: each keeps a member's place."""
        served = {claim_name(name) for name in kept.pods}
        held = [one for one in self._claims.values() if one.owner_kind == LEASE_KIND and one.pool == kept.owner.name]
        return [one for one in held if not one.deleting and one.name not in served]

    def run(self, pools: Iterable[KeptPool]) -> float | None:
        """Ask again for what is not gone yet; returns in how many seconds to look again."""
        for facts in self._ending.values():
            self._writer.end(self._pod(facts))
        for kept in pools:
            if self._claims and self._held_back is None and kept.template.spec.storage is not None:
                self._sweep(kept)
        return AGAIN_SECONDS if self._ending or self._claims else None

    async def close(self) -> None:
        """Wait for members that are being asked to end."""
        await asyncio.gather(*self._retiring, return_exceptions=True)

    def _sweep(self, kept: KeptPool) -> None:
        coming = {one.name for one in kept.pending}
        now = time.time()
        for name, claim in self._claims.items():
            mine = claim.owner_uid == kept.owner.uid and not claim.deleting and name not in self._leased
            if mine and name not in kept.pods and name not in coming and now > claim.created + UNUSED_CLAIM_SECONDS:
                self.end_claim(claim)

    def _pod(self, facts: PodFacts) -> Doomed:
        return Doomed(PODS, ObjectKey(facts.namespace, facts.name), facts.uid)

    def _beside(self, seen: SeenPod) -> None:
        task = asyncio.create_task(self._retire(seen))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, seen: SeenPod) -> None:
        """The member decides: it may have been bound a moment ago."""
        if await self._parts.binder.retire(seen.member):
            self.end(seen.facts)
        else:
            seen.ending = ""
        self._parts.changed()
