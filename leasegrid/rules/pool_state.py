"""What the sizing of a pool sees, and what it decides; `pool_sizing` decides.

`now` and all instants here are seconds of one clock of the caller's choice (monotonic is best), except `wall_time`,
which is UNIX time and used for schedules alone.
"""

from dataclasses import dataclass

from leasegrid.api.enums import ConditionStatus
from leasegrid.rules.reasons import ConditionType, PoolReason, RetireReason, WarmupFailure
from tasklet_runner.wire.member import MemberState


@dataclass(frozen=True)
class PoolMember:
    """One member as its pool sees it. `since`: when it entered its state; `template`: the version that it was made
    from.

    `gone_at`: a member of a dead node leaves the count at this instant, when every deadline that it could know is past.
    `stuck`: it warms up, but something stands in its way that may not go away by itself. `leaving`: it was told to end
    but still takes room; its state does not matter any more. `claims` are those that this process has seen, `epoch`
    counts all of the member's life.
    """

    name: str
    state: MemberState
    since: float
    template: str = ""
    claims: int = 0
    gone_at: float | None = None
    stuck: bool = False
    leaving: bool = False
    epoch: int = 0


@dataclass(frozen=True)
class Complaint:
    """Something that is wrong with a pool as a whole; `blocks`: no member is made until it is mended."""

    reason: PoolReason
    message: str
    blocks: bool = False


@dataclass(frozen=True)
class Pending:
    """A creation that was ordered at `at` and has not been seen yet."""

    name: str
    at: float


@dataclass(frozen=True)
class Bucket:
    """The token bucket of refill, as it was at `at`."""

    tokens: float
    at: float


@dataclass(frozen=True)
class FailureHistory:
    """Members in a row that did not come up, the last at `at`, and why. `note_failure` of `refill` adds one."""

    count: int = 0
    at: float = 0.0
    reason: WarmupFailure = WarmupFailure.CRASH
    message: str = ""


NO_FAILURES = FailureHistory()


@dataclass(frozen=True)
class Observed:
    """All that a pool's sizing looks at. `waiting`: members that queued leases lack; `template_since`: when it last
    changed.
    """

    wall_time: float
    members: tuple[PoolMember, ...] = ()
    pending: tuple[Pending, ...] = ()
    waiting: int = 0
    template: str = ""
    template_since: float = 0.0
    bucket: Bucket | None = None
    failures: FailureHistory = NO_FAILURES
    complaint: Complaint | None = None


@dataclass(frozen=True)
class Retirement:
    """End this member (a ready one only after it accepted `retire`)."""

    name: str
    reason: RetireReason


@dataclass(frozen=True)
class PoolCondition:
    """A condition without its time, which the writer adds when the status changes."""

    type: ConditionType
    status: ConditionStatus
    reason: PoolReason | WarmupFailure
    message: str


@dataclass(frozen=True)
class PoolDecision:
    """What is done now, and what is to be kept for the next time (`bucket`, `pending`, `failures`).

    `create`: so many new members; their names go into `pending` until they are seen. `refuses_claims`: why claims
    are refused, empty when they are not. `look_again_in`: seconds until something changes by time alone.
    """

    effective_target: int
    create: int
    retire: tuple[Retirement, ...]
    pending: tuple[Pending, ...]
    bucket: Bucket
    failures: FailureHistory
    conditions: tuple[PoolCondition, ...]
    refuses_claims: str = ""
    look_again_in: float | None = None
