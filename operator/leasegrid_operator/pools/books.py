"""What the operator remembers of a pool and of a pod between two looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Member, Shape
from leasegrid.rules.pool_state import Complaint, Pending, PoolMember
from leasegrid_operator.pools.pods import LEASE_KIND, MemberTemplate, Owner
from leasegrid_operator.pools.reading import PodFacts
from leasegrid_operator.pools.templates import reuse_of
from tasklet_runner.wire.member import MemberState


@dataclass(eq=False)
class SeenPod:
    """A pod, and the member that it is. `noted`: its failure is counted; `warmed`: it was ready once;
    `ending`: why its pool ends it.
    """

    facts: PodFacts
    member: Member
    noted: bool = False
    warmed: bool = False
    lost_since: float | None = None
    ending: str = ""
    view: PoolMember | None = None

    def looked_at(self) -> PoolMember:
        """The member as its pool sees it; the same object for as long as nothing changes."""
        member, last = self.member, self.view
        leaving = member.retiring and not member.lease
        state = MemberState.CLAIMED if member.lease else member.state
        if member.stranger and state in (MemberState.READY, MemberState.RESETTING):
            # It takes no lease from this fabric, and obeys no order to retire: as good as fenced.
            state = MemberState.FENCED
        stuck = self.facts.trouble is not None and state is MemberState.WARMING
        if (
            last is not None
            and last.state is state
            and last.since == member.since
            and last.claims == member.claims
            and last.epoch == member.epoch
            and last.gone_at == member.gone_at
            and last.leaving is leaving
            and last.stuck is stuck
        ):
            return last
        return PoolMember(
            name=member.name,
            state=state,
            since=member.since,
            template=self.facts.template,
            claims=member.claims,
            gone_at=member.gone_at,
            stuck=stuck,
            leaving=leaving,
            epoch=member.epoch,
        )


@dataclass(eq=False)
class KeptPool:
    """A pool, or the members that are made for one lease. Instants are monotonic but for `written_status`.

    `generation`: of the newest spec; `faults`: why that cannot be used, and the one before it still holds; `number`:
    the highest in a name so far; `hold_until`: nothing is made before, as the API server is not available.
    """

    owner: Owner
    pool: Pool
    template: MemberTemplate
    template_since: float
    generation: int = 0
    is_default: bool = False
    faults: str = ""
    complaint: Complaint | None = None
    pending: tuple[Pending, ...] = ()
    number: int = 0
    effective_target: int = 0
    pods: dict[str, SeenPod] = field(default_factory=dict)
    ended: bool = False

    @property
    def provisioned(self) -> bool:
        """True when its members are made for one lease."""
        return self.owner.kind == LEASE_KIND

    def next_number(self) -> int:
        """A number that no member of it had."""
        self.number += 1
        return self.number


@dataclass(eq=False)
class StatusBook:
    """What stands in a pool's status. `version`: resourceVersion of our latest write; `told`: the transitions that it
    says; `writing`: a write is under way.
    """

    status: Mapping[str, Any] = field(default_factory=dict)
    version: int = 0
    written_at: float = float("-inf")
    looked_at: float = float("-inf")
    told: tuple[object, ...] = ()
    writing: bool = False


def shape_of(template: MemberTemplate) -> Shape:
    """What a member of this template has, as claims see it: of its memory, what tasklets can use together."""
    sizes = template.sizes
    memory = sizes.memory if sizes.quota else sizes.tasklets
    return Shape(sizes.slots, memory, sizes.scratch, sizes.cpu, reuse=reuse_of(template.spec).value)
