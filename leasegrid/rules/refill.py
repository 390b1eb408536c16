"""How fast members are made: a token bucket, a memory of creations, and a growing pause after failures."""

from collections.abc import Container
from dataclasses import dataclass

from leasegrid.api.pool import Refill
from leasegrid.rules.pool_state import NO_FAILURES, Bucket, FailureHistory, Pending, PoolMember
from leasegrid.rules.reasons import WarmupFailure
from tasklet_runner.wire.member import MemberState

PENDING_SECONDS = 60.0
"""A creation that was not seen for so long is counted as lost, and made again."""

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 300.0

PROBING_AFTER = 3
"""After so many failures in a row only one member at a time is tried."""


@dataclass(frozen=True)
class Allowance:
    """How many members may be made now, and in how many seconds more of them (None: when something else changes)."""

    count: int
    more_in: float | None = None


def refilled(bucket: Bucket | None, refill: Refill, now: float) -> Bucket:
    """The bucket as it is now; a pool that was never filled starts with a full one."""
    if bucket is None:
        return Bucket(float(refill.burst), now)
    grown = bucket.tokens + max(0.0, now - bucket.at) * refill.max_per_second
    return Bucket(min(float(refill.burst), grown), now)


def allowance(bucket: Bucket, refill: Refill, wanted: int) -> Allowance:
    """How many of those wanted the tokens allow."""
    # A hair is added, as a token that was put together from fractions may miss it.
    count = min(wanted, int(bucket.tokens + 1e-9))
    if count == wanted:
        return Allowance(count)
    return Allowance(count, max(0.0, (count + 1 - bucket.tokens) / refill.max_per_second))


def spent(bucket: Bucket, count: int) -> Bucket:
    """The bucket after so many were made."""
    return Bucket(max(0.0, bucket.tokens - count), bucket.at)


def still_pending(pending: tuple[Pending, ...], seen: Container[str], now: float) -> tuple[Pending, ...]:
    """The creations that are neither seen nor given up."""
    return tuple(one for one in pending if one.name not in seen and now - one.at < PENDING_SECONDS)


def note_failure(history: FailureHistory, reason: WarmupFailure, message: str, now: float) -> FailureHistory:
    """The history after one more member did not come up. Call it once for each, when its end is seen or ordered."""
    return FailureHistory(history.count + 1, now, reason, message)


def after_success(history: FailureHistory, members: tuple[PoolMember, ...]) -> FailureHistory:
    """The history as it is, or an empty one when a member came up after the last failure."""
    recovered = history.count and any(_came_up_after(history.at, member) for member in members)
    return NO_FAILURES if recovered else history


def _came_up_after(instant: float, member: PoolMember) -> bool:
    """True for a member that is ready for the first time, or under its first lease: a later reset proves nothing."""
    first = member.claims == 0 if member.state is MemberState.READY else member.claims <= 1
    return first and member.since > instant and member.state in (MemberState.READY, MemberState.CLAIMED)


def pause_left(history: FailureHistory, now: float) -> float:
    """Seconds until the next try: 1, 2, 4 … 300 after each failure in a row."""
    if not history.count:
        return 0.0
    pause = min(FIRST_PAUSE_SECONDS * (1 << min(history.count - 1, 16)), MAX_PAUSE_SECONDS)
    return max(0.0, history.at + pause - now)
