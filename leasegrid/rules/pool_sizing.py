"""How many members a pool has: which are made, which are ended, and what is said about it.

deficit = effective target - unclaimed members, capped by maxSize - all live members and by the refill. Unclaimed are
ready and warming ones, creations that were not seen yet, and members in reset where the pool reuses them: those are
ready again within a moment, and replacing them would only make members to be ended right after.

Members of dead nodes leave the count, so that others take their places; but nobody saw them end, and a scheduler may
put their successors on a dead node too. So with them a pool never has more than twice its maxSize.
"""

from leasegrid.api.enums import OperatingMode
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_census import Census, room, take_census
from leasegrid.rules.pool_conditions import Outlook, conditions
from leasegrid.rules.pool_retiring import next_retirement_in, retirements
from leasegrid.rules.pool_schedules import scheduled
from leasegrid.rules.pool_state import Observed, PoolDecision, Retirement
from leasegrid.rules.refill import PROBING_AFTER, Allowance, allowance, pause_left, refilled, spent


def size_pool(spec: InstancePoolSpec, observed: Observed, now: float) -> PoolDecision:
    """The decision for this instant. Applied and run again, it decides nothing; never more live members than
    maxSize.
    """
    census = take_census(spec, observed, now)
    schedule = scheduled(spec.schedules, observed.wall_time)
    target = effective_target(spec, schedule.target, observed.waiting)
    bucket = refilled(observed.bucket, spec.refill, now)
    retire = retirements(spec, observed, census, target, now)
    wanted = deficit(target, census, retire) if spec.operating_mode is OperatingMode.ACTIVE else 0
    blocked = observed.complaint is not None and observed.complaint.blocks
    makeable = 0 if blocked else _paced(min(wanted, room(spec, census)), census)
    pause = pause_left(census.failures, now) if makeable else 0.0
    allowed = Allowance(0, pause) if pause > 0 else allowance(bucket, spec.refill, makeable)
    outlook = Outlook(spec, census, target, wanted, allowed.count, retire, observed.complaint)
    return PoolDecision(
        effective_target=target,
        create=allowed.count,
        retire=retire,
        pending=census.pending,
        bucket=spent(bucket, allowed.count),
        failures=census.failures,
        conditions=conditions(outlook),
        refuses_claims=_refusal(spec),
        look_again_in=_soonest(allowed.more_in, schedule.changes_in, next_retirement_in(spec, census, now)),
    )


def effective_target(spec: InstancePoolSpec, scheduled_target: int, waiting: int) -> int:
    """The largest of targetSize, the schedule and the members that queued leases lack, within minSize and maxSize."""
    if spec.operating_mode is OperatingMode.DRAINING:
        return 0
    return min(max(spec.target_size, scheduled_target, waiting, spec.least), spec.most)


def deficit(target: int, census: Census, retire: tuple[Retirement, ...]) -> int:
    """How many unclaimed members are missing once those that are ended now are gone."""
    ending = {one.name for one in retire}
    return max(0, target - census.unclaimed + sum(one.name in ending for one in census.ready))


def _paced(wanted: int, census: Census) -> int:
    """One at a time after failures in a row: the next is tried when this one has come up, or has failed."""
    if census.failures.count < PROBING_AFTER:
        return wanted
    return 0 if census.warming or census.pending else min(wanted, 1)


def _refusal(spec: InstancePoolSpec) -> str:
    return "the pool is draining (spec.operatingMode)" if spec.operating_mode is OperatingMode.DRAINING else ""


def _soonest(*instants: float | None) -> float | None:
    return min((instant for instant in instants if instant is not None), default=None)
