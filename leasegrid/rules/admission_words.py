"""What a lease that gets no members is told: why, and what to do about it."""

from collections.abc import Iterable, Sequence

from leasegrid.rules.choosing import satisfies, unmet
from leasegrid.rules.claims import Claim, Place, Refusal, Supply
from leasegrid.rules.reasons import AdmissionReason


def why_never(claim: Claim, supplies: Sequence[Supply], usable: list[int]) -> Refusal | None:
    """The refusal of a claim that waiting would not help; None when it might."""
    if not usable:
        common = [one for one in supplies if not one.owner]
        return _unusable(claim, [one for one in common if not claim.pools or one.pool in claim.pools])
    largest: dict[str, int] = {}
    for supply in (supplies[index] for index in usable):
        largest[supply.pool] = max(supply.most, largest.get(supply.pool, 0))
    most = sum(largest.values())
    if claim.minimum <= most:
        return None
    return Refusal(
        claim.uid,
        AdmissionReason.UNSATISFIABLE,
        f"{_needed(claim.minimum)} at once, but {_where(supplies, usable)} can never have more than {most}",
        "lower minCount (of a Job: minParallelism), or raise spec.maxSize of the pool (on one machine: --workers)",
    )


def _unusable(claim: Claim, named: list[Supply]) -> Refusal:
    if not named:
        asked = f"{_quoted(claim.pools)} cannot be found" if claim.pools else "there is no pool"
        return Refusal(
            claim.uid,
            AdmissionReason.POOL_NOT_FOUND,
            asked,
            "make an InstancePool, or name one that exists in poolRefs",
        )
    fitting = [supply for supply in named if satisfies(supply.shape, claim.needs)]
    if not fitting:
        return _unsupported(claim, named)
    return Refusal(
        claim.uid,
        AdmissionReason.DRAINING,
        f"{_pools(fitting)} takes no more leases, as its operatingMode is Draining",
        "set spec.operatingMode of the pool to Active, or name another pool in poolRefs",
    )


def _unsupported(claim: Claim, named: list[Supply]) -> Refusal:
    closest = min(named, key=lambda supply: len(unmet(supply.shape, claim.needs)))
    lacking = ", ".join(unmet(closest.shape, claim.needs))
    return Refusal(
        claim.uid,
        AdmissionReason.UNSUPPORTED,
        f"no member of {_pools(named)} has what is required: {closest.pool!r} lacks {lacking}",
        "lower the requirements, or make a pool with larger members (spec.resources)",
    )


def empty_pool(claim: Claim, supplies: Sequence[Supply], usable: list[int], free: list[int]) -> Refusal:
    """The refusal of `onEmpty: Fail`, which names both remedies: a higher target, an image that starts faster."""
    ready = sum(supplies[index].ready for index in usable)
    left = sum(free[index] for index in usable)
    kept = f", {ready - left} of them promised to others" if ready > left else ""
    return Refusal(
        claim.uid,
        AdmissionReason.POOL_EMPTY,
        f"{_needed(claim.minimum)} at once, {_where(supplies, usable)} has {ready} ready{kept}",
        f"raise spec.targetSize of the pool to at least {claim.minimum} (on one machine: --workers), or give it an "
        "image that starts faster; with onEmpty: Queue the lease waits instead",
    )


def timed_out(claim: Claim, supplies: Sequence[Supply], usable: list[int]) -> Refusal:
    """The refusal of a lease that has waited for as long as it would."""
    return Refusal(
        claim.uid,
        AdmissionReason.QUEUE_TIMEOUT,
        f"{claim.queue_timeout_seconds:g} s have passed and {claim.minimum} members of {_where(supplies, usable)} "
        "were not free together",
        "raise queueTimeoutSeconds or priority, lower minCount, or raise spec.targetSize and spec.maxSize of the pool",
    )


def head(claim: Claim, supplies: Sequence[Supply], usable: list[int]) -> Place:
    """The place of the first in the queue."""
    ready = sum(supplies[index].ready for index in usable)
    message = f"first in the queue: {ready} of {claim.minimum} members are ready in {_where(supplies, usable)}"
    return Place(claim.uid, 1, AdmissionReason.HEAD_OF_QUEUE, message)


def behind(claim: Claim, position: int, length: int) -> Place:
    """The place of one that stands behind others."""
    message = f"position {position} of {length} in the queue for {claim.minimum} members"
    return Place(claim.uid, position, AdmissionReason.BEHIND_OTHERS, message)


def _needed(count: int) -> str:
    return "1 member is needed" if count == 1 else f"{count} members are needed"


def _where(supplies: Sequence[Supply], usable: list[int]) -> str:
    return _pools(supplies[index] for index in usable) if usable else "no pool"


def _pools(supplies: Iterable[Supply]) -> str:
    """Where a claim's members may come from. Those that are made for it alone stand in no pool that people know."""
    found = list(supplies)
    named = list(dict.fromkeys(supply.pool for supply in found if not supply.owner))
    if not any(supply.owner for supply in found):
        return _quoted(named)
    return f"{_quoted(named)} and this lease's own" if named else "this lease's own pool"


def _quoted(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return f"pool {quoted[0]}" if len(quoted) == 1 else f"pools {', '.join(quoted)}"
