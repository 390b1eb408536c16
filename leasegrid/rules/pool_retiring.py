"""Which members a pool ends, and why.

Members that are of no use (fenced, overdue, worn out, drained) end at once. Those that merely ought to be renewed (idle
for long, made from an older template) go a few at a time, and only while none is on its way, so that claims find
members.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from leasegrid.api.enums import OperatingMode, RolloutStrategy
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_census import Census
from leasegrid.rules.pool_state import Observed, PoolMember, Retirement
from leasegrid.rules.reasons import RetireReason

SHARE_RENEWED_AT_ONCE = 4
"""A quarter of the ready members, at least one, is renewed at a time."""


@dataclass(frozen=True)
class _View:
    spec: InstancePoolSpec
    observed: Observed
    census: Census
    now: float


def retirements(
    spec: InstancePoolSpec, observed: Observed, census: Census, target: int, now: float
) -> tuple[Retirement, ...]:
    """The members to end now, each once."""
    if spec.operating_mode is OperatingMode.PAUSED:
        return ()
    if spec.operating_mode is OperatingMode.DRAINING:
        return tuple(_draining(census))
    view = _View(spec, observed, census, now)
    useless = tuple(_useless(view))
    gone = {one.name for one in useless}
    left = tuple(one for one in census.ready if one.name not in gone)
    surplus = tuple(_surplus(view, left, len(left) - target)) or tuple(_stuck_surplus(view, gone, target))
    at_target = census.unclaimed - (len(census.ready) - len(left)) >= target
    return useless + (surplus or (tuple(_renewed(view, left)) if at_target else ()))


def next_retirement_in(spec: InstancePoolSpec, census: Census, now: float) -> float | None:
    """Seconds until a member is overdue or idle for too long; None when none ever will be."""
    instants = [one.since + spec.warmup_grace_seconds for one in census.warming]
    if spec.ready_ttl_seconds:
        instants += [one.since + spec.ready_ttl_seconds for one in census.ready]
    later = [instant - now for instant in instants if instant > now]
    return min(later, default=None)


def _draining(census: Census) -> Iterator[Retirement]:
    for member in (*census.ready, *census.warming, *census.overdue, *census.fenced):
        yield Retirement(member.name, RetireReason.DRAINING)


def _useless(view: _View) -> Iterator[Retirement]:
    for member in view.census.fenced:
        yield Retirement(member.name, RetireReason.FENCED)
    for member in view.census.overdue:
        yield Retirement(member.name, RetireReason.WARMUP_TIMEOUT)
    for member in view.census.warming:
        if member.stuck and _drifted(view, member):
            # The new template may mend what stands in its way, and nobody uses the old one.
            yield Retirement(member.name, RetireReason.DRIFTED)
    limit, template = view.spec.max_claims_per_member, view.observed.template
    for member in view.census.ready:
        if 0 < limit <= max(member.claims, member.epoch):
            yield Retirement(member.name, RetireReason.MAX_CLAIMS)
        elif member.template != template and member.claims and member.since >= view.observed.template_since:
            # It was reset after the template changed: the point at which a member may change its version.
            yield Retirement(member.name, RetireReason.DRIFTED)


def _surplus(view: _View, ready: tuple[PoolMember, ...], count: int) -> Iterator[Retirement]:
    if count <= 0:
        return
    drifted_first = sorted(ready, key=lambda one: not _drifted(view, one))
    for member in drifted_first[:count]:
        yield Retirement(member.name, RetireReason.SURPLUS)


def _stuck_surplus(view: _View, gone: set[str], target: int) -> Iterator[Retirement]:
    """Of those that wait for an image or a node, those that are not wanted any more: they may wait for ever."""
    census = view.census
    stuck = [member for member in census.warming if member.stuck and member.name not in gone]
    for member in stuck[: max(0, census.unclaimed - target)]:
        yield Retirement(member.name, RetireReason.SURPLUS)


def _renewed(view: _View, ready: tuple[PoolMember, ...]) -> Iterator[Retirement]:
    if view.census.warming or view.census.overdue or view.census.pending:
        return
    due = [one for one in (_renewal(view, member) for member in ready) if one is not None]
    yield from due[: max(1, len(ready) // SHARE_RENEWED_AT_ONCE)]


def _renewal(view: _View, member: PoolMember) -> Retirement | None:
    ttl = view.spec.ready_ttl_seconds
    if ttl and view.now - member.since >= ttl:
        return Retirement(member.name, RetireReason.READY_TTL)
    if _drifted(view, member) and view.spec.rollout.strategy is RolloutStrategy.ROLLING:
        return Retirement(member.name, RetireReason.DRIFTED)
    return None


def _drifted(view: _View, member: PoolMember) -> bool:
    return member.template != view.observed.template
