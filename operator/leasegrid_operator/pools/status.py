"""What a pool's status says, and when it is worth a write. Pure; bodies as the API server has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leasegrid.api.common import Condition
from leasegrid.api.pool import InstancePoolStatus, MemberCounts, MemberSample
from leasegrid.rules.pool_state import PoolCondition, PoolMember
from leasegrid_operator.pools.naming import pool_selector
from tasklet_runner.wire.member import MemberState

Status = Mapping[str, Any]

COUNTER_SECONDS = 1.0
"""Changes of mere numbers are written at most so often; transitions at once."""

MAX_SAMPLES = 8
LONGEST_MESSAGE = 1024


@dataclass(frozen=True)
class Sampled:
    """One member as people see it; instants in UNIX seconds, None for not yet."""

    name: str
    started: float
    ready: float | None
    holder: str = ""


@dataclass(frozen=True)
class PoolView:
    """All that a status is made of. `members`: all that count; `generation`: of the spec that was judged."""

    name: str
    generation: int
    effective_target: int
    members: Sequence[PoolMember]
    oldest: Sequence[Sampled]
    conditions: Sequence[PoolCondition]


def pool_status(view: PoolView, previous: Status, now: float) -> dict[str, Any]:
    """The whole status at this UNIX time. A condition keeps its transition time while its status is the same."""
    counts = _counts(view.members)
    status = InstancePoolStatus(
        replicas=sum(counts.values()),
        selector=pool_selector(view.name),
        effective_target=view.effective_target,
        members=MemberCounts(**{state.value: counts[state] for state in _COUNTED}),
        oldest=tuple(_sample(one) for one in view.oldest[:MAX_SAMPLES]),
        conditions=_conditions(view, previous, written_instant(now)),
    )
    written: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return written


def write_due_in(wanted: Status, previous: Status, written_at: float, now: float) -> float | None:
    """In how many seconds the status is to be written: 0 for at once, None when it stands there already."""
    if wanted == previous:
        return None
    if _transitions(wanted) != _transitions(previous):
        return 0.0
    return max(0.0, written_at + COUNTER_SECONDS - now)


def status_patch(wanted: Status, previous: Status) -> dict[str, Any]:
    """The merge patch that makes one out of the other: what is there no more has to be named."""
    gone = {name: None for name in previous if name not in wanted}
    return {**gone, **{name: value for name, value in wanted.items() if previous.get(name) != value}}


def written_instant(seconds: float) -> str:
    """UNIX seconds as Kubernetes writes them."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_COUNTED = (
    MemberState.WARMING,
    MemberState.READY,
    MemberState.CLAIMED,
    MemberState.RESETTING,
    MemberState.FENCED,
)


def _counts(members: Sequence[PoolMember]) -> dict[MemberState, int]:
    counts = dict.fromkeys(_COUNTED, 0)
    for one in members:
        if not one.leaving and one.state in counts:
            counts[one.state] += 1
    return counts


def _sample(one: Sampled) -> MemberSample:
    return MemberSample(
        name=one.name,
        warming_started_time=written_instant(one.started),
        ready_time=None if one.ready is None else written_instant(one.ready),
        holder=one.holder,
    )


def _conditions(view: PoolView, previous: Status, now: str) -> tuple[Condition, ...]:
    before = {one.get("type"): one for one in previous.get("conditions") or ()}
    return tuple(_condition(one, before.get(one.type.value, {}), view.generation, now) for one in view.conditions)


def _condition(decided: PoolCondition, before: Status, generation: int, now: str) -> Condition:
    unchanged = before.get("status") == decided.status.value
    return Condition(
        type=decided.type.value,
        status=decided.status,
        reason=decided.reason.value,
        message=decided.message[:LONGEST_MESSAGE],
        last_transition_time=before.get("lastTransitionTime", now) if unchanged else now,
        observed_generation=generation,
    )


def _transitions(status: Status) -> tuple[object, ...]:
    """What people and programs wait for."""
    said = status.get("conditions") or ()
    fields = ("type", "status", "reason", "observedGeneration")
    return (status.get("selector"), *(tuple(one.get(field) for field in fields) for one in said))
