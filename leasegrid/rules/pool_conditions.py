"""What a pool's status says: Ready, Progressing, Degraded, CappedByMax, each with a reason and a sentence."""

from dataclasses import dataclass

from leasegrid.api.enums import ConditionStatus, OperatingMode
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_census import Census, room
from leasegrid.rules.pool_state import Complaint, PoolCondition, Retirement
from leasegrid.rules.reasons import ConditionType, PoolReason, WarmupFailure

_REMEDIES = {
    WarmupFailure.IMAGE: "check the image's name and spec.template.imagePullSecrets",
    WarmupFailure.UNSCHEDULABLE: "lower spec.requests, or add nodes that match spec.template",
    WarmupFailure.CRASH: "look at the member's log",
    WarmupFailure.QUOTA: "raise the quota, or lower spec.targetSize",
    WarmupFailure.REFUSED: "change spec, or the rule that refuses it",
    WarmupFailure.NODE_GONE: "look at the cluster's nodes",
    WarmupFailure.TIMEOUT: "raise spec.warmupGraceSeconds, or use an image that starts faster",
}


@dataclass(frozen=True)
class Outlook:
    """A decision as far as it matters for what is said. `wanted` before, `create` after all caps."""

    spec: InstancePoolSpec
    census: Census
    target: int
    wanted: int
    create: int
    retire: tuple[Retirement, ...]
    complaint: Complaint | None = None


def conditions(outlook: Outlook) -> tuple[PoolCondition, ...]:
    """All four, always in this order."""
    return (_ready(outlook), _progressing(outlook), _degraded(outlook), _capped(outlook))


def conditions_of_invalid(faults: str) -> tuple[PoolCondition, ...]:
    """What is said of a pool whose spec cannot be read: nothing is decided about it."""
    types = (ConditionType.READY, ConditionType.PROGRESSING)
    said = tuple(_no(kind, PoolReason.INVALID_SPEC, faults) for kind in types)
    degraded = _yes(ConditionType.DEGRADED, PoolReason.INVALID_SPEC, faults)
    capped = PoolCondition(ConditionType.CAPPED_BY_MAX, ConditionStatus.UNKNOWN, PoolReason.INVALID_SPEC, faults)
    return (*said, degraded, capped)


def _ready(outlook: Outlook) -> PoolCondition:
    status, reason = _readiness(outlook)
    census = outlook.census
    message = (
        f"{len(census.ready)} ready, {len(census.warming)} warming, {census.claimed} claimed; target {outlook.target}"
    )
    return PoolCondition(ConditionType.READY, status, reason, message)


def _readiness(outlook: Outlook) -> tuple[ConditionStatus, PoolReason]:
    census = outlook.census
    if outlook.spec.operating_mode is OperatingMode.DRAINING:
        return ConditionStatus.FALSE, PoolReason.DRAINING
    if census.ready:
        return ConditionStatus.TRUE, PoolReason.MEMBERS_READY
    if not outlook.target:
        return ConditionStatus.TRUE, PoolReason.NOTHING_WANTED
    if census.warming or census.pending or outlook.create:
        return ConditionStatus.FALSE, PoolReason.WARMING_UP
    return ConditionStatus.FALSE, PoolReason.ALL_CLAIMED if census.claimed else PoolReason.NO_MEMBERS


def _progressing(outlook: Outlook) -> PoolCondition:
    census = outlook.census
    if outlook.spec.operating_mode is OperatingMode.PAUSED:
        return _no(
            ConditionType.PROGRESSING, PoolReason.PAUSED, "nothing is made or ended while operatingMode is Paused"
        )
    if outlook.create or outlook.retire or census.warming or census.pending:
        coming = outlook.create + len(census.pending)
        message = f"making {coming}, {len(census.warming)} warming, ending {len(outlook.retire)}"
        return _yes(ConditionType.PROGRESSING, PoolReason.SCALING, message)
    if outlook.wanted and outlook.complaint is not None and outlook.complaint.blocks:
        return _no(ConditionType.PROGRESSING, outlook.complaint.reason, outlook.complaint.message)
    if outlook.wanted and census.failures.count:
        message = (
            f"{outlook.wanted} more are wanted; the next try waits after {census.failures.count} failures in a row"
        )
        return _yes(ConditionType.PROGRESSING, PoolReason.BACKING_OFF, message)
    return _no(ConditionType.PROGRESSING, PoolReason.SETTLED, "nothing to do")


def _degraded(outlook: Outlook) -> PoolCondition:
    census = outlook.census
    if outlook.complaint is not None:
        return _yes(ConditionType.DEGRADED, outlook.complaint.reason, outlook.complaint.message)
    if census.failures.count:
        failures = census.failures
        who = f"{failures.count} members in a row" if failures.count > 1 else "a member"
        message = f"{who} did not come up: {failures.message} ({_REMEDIES[failures.reason]})"
        return _yes(ConditionType.DEGRADED, failures.reason, message)
    if census.fenced:
        names = ", ".join(sorted(one.name for one in census.fenced)[:5])
        message = f"{len(census.fenced)} members could not prove a clean reset and are replaced: {names}"
        return _yes(ConditionType.DEGRADED, PoolReason.MEMBER_FENCED, message)
    return _no(ConditionType.DEGRADED, PoolReason.HEALTHY, "members start as they should")


def _capped(outlook: Outlook) -> PoolCondition:
    most, lost = outlook.spec.most, outlook.census.lost
    taken = outlook.census.live + len(outlook.census.pending)
    if lost > most > taken and outlook.wanted > room(outlook.spec, outlook.census):
        message = (
            f"{outlook.wanted} more are wanted, but {lost} members stand on nodes that are not heard of, and a pool "
            f"of maxSize {most} replaces {most} of them (bring the nodes back, or delete their Node objects)"
        )
        return _yes(ConditionType.CAPPED_BY_MAX, PoolReason.NODES_LOST, message)
    if outlook.wanted > max(0, most - taken):
        message = f"{outlook.wanted} more are wanted, but maxSize is {most} and {taken} live (raise spec.maxSize)"
        return _yes(ConditionType.CAPPED_BY_MAX, PoolReason.MAX_SIZE, message)
    return _no(ConditionType.CAPPED_BY_MAX, PoolReason.WITHIN_MAX, f"maxSize {most} leaves room for all that is wanted")


def _yes(kind: ConditionType, reason: PoolReason | WarmupFailure, message: str) -> PoolCondition:
    return PoolCondition(kind, ConditionStatus.TRUE, reason, message)


def _no(kind: ConditionType, reason: PoolReason, message: str) -> PoolCondition:
    return PoolCondition(kind, ConditionStatus.FALSE, reason, message)
