"""How quick a caller may be: a token bucket, as a pure rule."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """So many requests a second for ever, and so many at once after a pause."""

    per_second: float
    burst: float


@dataclass(frozen=True)
class Purse:
    """What a caller may still spend, at an instant of the monotonic clock."""

    tokens: float
    at: float


@dataclass(frozen=True)
class Payment:
    """The purse after a request, and how many seconds too early it came (0: it is allowed)."""

    purse: Purse
    too_early: float = 0.0


def pay(purse: Purse | None, rate: Rate, now: float) -> Payment:
    """One request of a caller; a new one has a full purse. A request that is refused costs nothing."""
    tokens = rate.burst if purse is None else min(rate.burst, purse.tokens + max(0.0, now - purse.at) * rate.per_second)
    # A hair is forgiven, as a token that was put together from fractions may miss it.
    if tokens >= 1.0 - 1e-9:
        return Payment(Purse(max(0.0, tokens - 1.0), now))
    return Payment(Purse(tokens, now), (1.0 - tokens) / rate.per_second)
