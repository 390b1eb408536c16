"""Counting a pool's members by what they are good for."""

from dataclasses import dataclass

from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_state import FailureHistory, Observed, Pending, PoolMember
from leasegrid.rules.refill import after_success, still_pending
from tasklet_runner.wire.member import MemberState


@dataclass(frozen=True)
class Census:
    """The members that count. `unclaimed`: those that a claim finds now or very soon, creations under way included;
    `lost`: those of dead nodes, which left the count but may still stand.
    """

    ready: tuple[PoolMember, ...]
    warming: tuple[PoolMember, ...]
    claimed: int
    resetting: int
    fenced: tuple[PoolMember, ...]
    overdue: tuple[PoolMember, ...]
    pending: tuple[Pending, ...]
    failures: FailureHistory
    unclaimed: int
    leaving: int = 0
    lost: int = 0

    @property
    def live(self) -> int:
        """All that maxSize counts and that were seen."""
        standing = len(self.ready) + len(self.warming) + len(self.overdue)
        return standing + self.claimed + self.resetting + len(self.fenced) + self.leaving


def room(spec: InstancePoolSpec, census: Census) -> int:
    """How many more members may be made, creations under way counted. Of those that are lost as many as maxSize are
    replaced, and all others take room.
    """
    unreplaced = max(0, census.lost - spec.most)
    return max(0, spec.most - census.live - len(census.pending) - unreplaced)


def take_census(spec: InstancePoolSpec, observed: Observed, now: float) -> Census:
    """Count the members; those of dead nodes whose time has passed, and ended ones, are left out."""
    by_state: dict[MemberState, list[PoolMember]] = {state: [] for state in MemberState}
    leaving = lost = 0
    for member in observed.members:
        if member.gone_at is not None and member.gone_at <= now:
            lost += member.state is not MemberState.TERMINATED
        elif member.leaving:
            leaving += 1
        else:
            by_state[member.state].append(member)
    starting = by_state[MemberState.WARMING]
    overdue = tuple(one for one in starting if now - one.since >= spec.warmup_grace_seconds)
    warming = tuple(one for one in starting if now - one.since < spec.warmup_grace_seconds)
    ready = tuple(sorted(by_state[MemberState.READY], key=lambda one: (one.since, one.name)))
    resetting = len(by_state[MemberState.RESETTING])
    pending = still_pending(observed.pending, {one.name for one in observed.members}, now)
    return Census(
        ready=ready,
        warming=warming,
        claimed=len(by_state[MemberState.CLAIMED]),
        resetting=resetting,
        fenced=tuple(by_state[MemberState.FENCED]),
        overdue=overdue,
        pending=pending,
        failures=after_success(observed.failures, observed.members),
        unclaimed=len(ready) + len(warming) + len(pending) + (resetting if spec.reused else 0),
        leaving=leaving,
        lost=lost,
    )
