"""Pools and members to decide about, told by what is special about them."""

from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_sizing import size_pool
from leasegrid.rules.pool_state import Observed, PoolCondition, PoolDecision, PoolMember
from leasegrid.rules.reasons import ConditionType
from tasklet_runner.wire.member import MemberState

NOW = 10_000.0
WALL = 1_750_000_000.0


def spec(**fields: object) -> InstancePoolSpec:
    """A pool of five, of at most ten, with these fields by their names in YAML."""
    return InstancePoolSpec.model_validate({"targetSize": 5, "minSize": 0, "maxSize": 10, **fields})


def members(state: MemberState, count: int, **changes: object) -> tuple[PoolMember, ...]:
    """So many members in one state since a hundred seconds."""
    given = {"since": NOW - 100, **changes}
    return tuple(PoolMember(f"{state.value}-{number}", state, **given) for number in range(count))  # type: ignore[arg-type]


def ready(count: int, **changes: object) -> tuple[PoolMember, ...]:
    """Ready members."""
    return members(MemberState.READY, count, **changes)


def seen(*groups: tuple[PoolMember, ...], **changes: object) -> Observed:
    """All of these members, and nothing else that matters."""
    flat = tuple(member for group in groups for member in group)
    return Observed(wall_time=WALL, members=flat, **changes)  # type: ignore[arg-type]


def decide(pool: InstancePoolSpec, observed: Observed, now: float = NOW) -> PoolDecision:
    """The decision at a moment that does not matter."""
    return size_pool(pool, observed, now)


def condition(decision: PoolDecision, kind: ConditionType) -> PoolCondition:
    """One of the conditions."""
    return next(one for one in decision.conditions if one.type is kind)
