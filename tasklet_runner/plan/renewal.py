"""When a lease is renewed, and when it must be counted as lost.

A holder renews at `renew_at_percent` of the time to live, a little earlier by its own jitter so that many holders do
not come together. A renewal that fails is tried again with a short back-off until the safety margin before the
deadline; only then is the lease lost. All instants are seconds of the caller's monotonic clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

SAFETY_MARGIN_SECONDS = 2.0
"""A holder stops counting on its lease so long before the deadline; a quarter of the time to live where that is
less.
"""

_JITTER_FRACTION = 0.1
_FIRST_BACKOFF_SECONDS = 0.25
_MAX_BACKOFF_SECONDS = 4.0


class RenewalAction(StrEnum):
    """What the holder does now."""

    WAIT = "Wait"
    RENEW = "Renew"
    EXPIRED = "Expired"


@dataclass(frozen=True)
class RenewalStep:
    """The action, and the instant at which to look again (`at` is `now` unless the action is Wait)."""

    action: RenewalAction
    at: float


@dataclass(frozen=True)
class Renewal:
    """The state of one lease's renewal; every change makes a new one.

    `jitter`: 0 <= x < 1, drawn once by the holder. `lost_at`: when the workers count as lost, the margin before the
    deadline.
    """

    renew_at_percent: int
    jitter: float
    next_at: float
    lost_at: float
    failures: int = 0

    @classmethod
    def start(cls, now: float, expires_in: float, renew_at_percent: int, jitter: float) -> "Renewal":
        """The renewal of a lease that ends in `expires_in` seconds."""
        return cls(renew_at_percent, jitter, now, now).renewed(now, expires_in)

    def tick(self, now: float) -> RenewalStep:
        """What is to be done now: wait until `at`, renew, or give the lease up."""
        if now >= self.lost_at:
            return RenewalStep(RenewalAction.EXPIRED, now)
        if now >= self.next_at:
            return RenewalStep(RenewalAction.RENEW, now)
        return RenewalStep(RenewalAction.WAIT, min(self.next_at, self.lost_at))

    def renewed(self, now: float, expires_in: float) -> "Renewal":
        """The state after a renewal that was answered at `now` with `expires_in` seconds to live."""
        margin = min(SAFETY_MARGIN_SECONDS, expires_in / 4)
        wanted = expires_in * self.renew_at_percent / 100
        # A margin is kept free for at least one retry, even when the percentage would leave none.
        wait = min(wanted, expires_in - 2 * margin) * (1 - _JITTER_FRACTION * self.jitter)
        return replace(self, next_at=now + wait, lost_at=now + expires_in - margin, failures=0)

    def failed(self, now: float) -> "Renewal":
        """The state after a renewal that failed: the next try comes after a growing, short pause."""
        pause = min(_FIRST_BACKOFF_SECONDS * 2**self.failures, _MAX_BACKOFF_SECONDS)
        return replace(self, next_at=now + pause * (1 - _JITTER_FRACTION * self.jitter), failures=self.failures + 1)
