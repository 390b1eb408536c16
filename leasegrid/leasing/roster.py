"""Who there is: the members of one namespace, by name and by pool, and which of them can be bound."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from leasegrid.rules.choosing import Offer, ReadyIndex
from leasegrid.rules.pool_state import PoolMember
from tasklet_runner.client.members import MemberClient
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import UnreachableError
from tasklet_runner.wire.member import Hint, MemberState, Role, StateReport
from tasklet_runner.wire.statements import MemberGrant

MEMBER_TIMEOUT_SECONDS = 3.0
"""A member that has not answered by then is treated as unreachable."""

MAX_TIMELINE_POINTS = 2000
"""So many changes of the member counts are kept; older ones are thinned evenly."""


@dataclass(frozen=True)
class Shape:
    """What one member has. `memory` in bytes is what its tasklets can use together; `cpu` in millicores.

    On one machine the interpreter's own memory is shared by all members, so it is not taken off here. `quota`: the
    bytes of objects that a member of role Memory or Block takes.
    """

    slots: int
    memory: int
    tmpfs: int
    cpu: int
    cpu_features: tuple[str, ...] = ()
    reuse: str = "Reset"
    role: Role = Role.CPU
    quota: int = 0

    @property
    def requirements(self) -> Requirements:
        """The shape as the rules know it."""
        return Requirements(self.slots, self.memory, self.cpu_features)


@dataclass(eq=False)
class Member:
    """One member. `lease`: the lease that it is bound to, or being bound to.

    `endpoint` is empty until its address is known; `started`: its process is known to run, so that it can be asked;
    `template`: the version that it was made from; `node`: where it runs, for people. `since`: when it entered its
    state, monotonic seconds. `retiring`: told to end, but still there; `gone` is set when it is not;
    `report`: what it said last when it was asked; `farewell`: why its last lease ended there, by a word of its own that
    nobody has proven: good enough once it is gone. `gone_at`: a member of a dead node leaves the count of its pool
    then. `stranger`: it knows another key than this fabric's, and obeys none of its orders.
    """

    name: str
    pool: str
    shape: Shape
    endpoint: str
    since: float
    started: bool = False
    template: str = ""
    node: str = ""
    state: MemberState = MemberState.WARMING
    incarnation: str = ""
    epoch: int = 0
    claims: int = 0
    lease: str = ""
    retiring: bool = False
    report: StateReport | None = None
    farewell: str = ""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    gone_at: float | None = None
    stranger: bool = False
    _client: MemberClient | None = field(init=False, default=None)

    def reach(self) -> MemberClient:
        """Its door; raises UnreachableError when its process is gone, as a call would open a connection anew."""
        if self.gone.is_set() or not self.endpoint:
            state = "has ended" if self.gone.is_set() else "has no address yet"
            raise UnreachableError(f"the member {self.name} {state}", remedy="take another")
        if self._client is None:
            self._client = MemberClient(self.endpoint, timeout_seconds=MEMBER_TIMEOUT_SECONDS)
        return self._client

    @property
    def address(self) -> str:
        """The endpoint as holders are told it: with the name of its key, once it has proven that."""
        return self.endpoint if self._client is None else self._client.endpoint

    async def hang_up(self) -> None:
        """Close the connection to it."""
        if self._client is not None:
            await self._client.close()

    @property
    def free(self) -> bool:
        """True when a bind has a chance."""
        taken = self.lease or self.retiring or self.stranger
        return self.state is MemberState.READY and bool(self.endpoint) and not taken

    @property
    def grant(self) -> MemberGrant:
        """The member as it is now."""
        return MemberGrant(self.name, self.incarnation, self.epoch)

    @property
    def next_grant(self) -> MemberGrant:
        """The member as it will be once it is bound."""
        return MemberGrant(self.name, self.incarnation, self.epoch + 1)

    @property
    def observed(self) -> PoolMember:
        """The member as its pool sees it: one that is being bound is claimed, whatever it says yet."""
        state = MemberState.CLAIMED if self.lease else self.state
        return PoolMember(self.name, state, self.since, self.template, self.claims, self.gone_at)


class MemberPoint(tuple[float, int, int]):
    """A change of the counts: seconds since the start, live members, members under lease."""

    __slots__ = ()


class Roster:
    """The table of members. Nothing here waits. `warmed`: pools whose first members have all been ready."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._members: dict[str, Member] = {}
        self._by_pool: dict[str, dict[str, Member]] = {}
        self._ready: dict[str, ReadyIndex] = {}
        self._leased: set[str] = set()
        self.timeline: list[MemberPoint] = []
        self.warmed: set[str] = set()

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Member) -> None:
        """A member that was ordered, or that was found."""
        self._members[member.name] = member
        self._by_pool.setdefault(member.pool, {})[member.name] = member
        self._count(member)

    def remove(self, name: str) -> Member | None:
        """A member that is gone."""
        member = self._members.pop(name, None)
        if member is not None:
            del self._by_pool[member.pool][name]
            self.file(member)
            member.gone.set()
        return member

    def find(self, name: str) -> Member | None:
        """The member of that name, while it lives."""
        return self._members.get(name)

    def all(self) -> list[Member]:
        """Every live member, in the order in which they were ordered."""
        return list(self._members.values())

    def of_pool(self, pool: str) -> list[Member]:
        """A pool's live members that were not told to end."""
        return [member for member in self._by_pool.get(pool, {}).values() if not member.retiring]

    def ready(self, pool: str) -> int:
        """How many members of a pool can be bound now."""
        return len(self._index(pool))

    def take(self, pool: str, needs: Requirements, lease: str) -> Member | None:
        """Reserve the member that a claim gets for this lease; None when no ready one will do."""
        offer = self._index(pool).take(needs)
        if offer is None:
            return None
        member = self._members[offer.name]
        member.lease = lease
        self._count(member)
        return member

    def refile(self, member: Member) -> None:
        """Its shape is another: it is offered anew."""
        self._index(member.pool).remove(member.name)
        self.file(member)

    def file(self, member: Member) -> None:
        """Put a member into the ready index or take it out, as it is now. Call it after each change of a member."""
        self._count(member)
        index = self._index(member.pool)
        if not member.free or member.name not in self._members:
            index.remove(member.name)
        elif member.name not in index:
            index.add(Offer(member.name, member.shape.requirements, member.since))
            if member.pool not in self.warmed and self._stands(member.pool):
                self.warmed.add(member.pool)

    def counts(self) -> dict[str, int]:
        """Live members by state."""
        return dict(Counter(member.state.value for member in self._members.values()))

    def note(self, now: float) -> None:
        """Put the counts into the timeline, if they have changed."""
        leased = len(self._leased)
        if self.timeline and self.timeline[-1][1:] == (len(self._members), leased):
            return
        self.timeline.append(MemberPoint((now - self._started, len(self._members), leased)))
        if len(self.timeline) > MAX_TIMELINE_POINTS:
            del self.timeline[1:-1:2]

    def _count(self, member: Member) -> None:
        # Kept as it changes: counted anew in each pass, thousands of members would slow every claim.
        if member.lease and member.name in self._members:
            self._leased.add(member.name)
        else:
            self._leased.discard(member.name)

    def _stands(self, pool: str) -> bool:
        others = self._by_pool[pool].values()
        return not any(other.state is MemberState.WARMING and not other.retiring for other in others)

    def _index(self, pool: str) -> ReadyIndex:
        return self._ready.setdefault(pool, ReadyIndex())


def take_hint(member: Member, hint: Hint, now: float) -> bool:
    """Believe a member's word about itself; False when it is an older word than what is known."""
    if hint.incarnation == member.incarnation and hint.epoch < member.epoch:
        return False
    if hint.state is not member.state:
        member.since = now
    member.incarnation, member.epoch, member.state = hint.incarnation, hint.epoch, hint.state
    return True
