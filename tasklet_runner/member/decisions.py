"""What the member's state machine decides, as frozen data: the door turns it into replies, the process into acts."""

from dataclasses import dataclass
from enum import StrEnum

from tasklet_runner.wire.member import BindReply


class Refusal(StrEnum):
    """Why a member says no: the `code` of an ErrorReply."""

    CONFLICT = "Conflict"
    NOT_READY = "NotReady"
    FENCED = "Fenced"
    LEASE_EXPIRED = "LeaseExpired"
    UNAUTHENTICATED = "Unauthenticated"
    BAD_REQUEST = "BadRequest"


@dataclass(frozen=True)
class Refused:
    """No: a stable word, what and where, what to do."""

    code: Refusal
    cause: str
    remedy: str = ""


@dataclass(frozen=True)
class Bound:
    """The bind stands, provisionally. `repeated`: it stood already, and this is the first answer again."""

    reply: BindReply
    repeated: bool = False


@dataclass(frozen=True)
class Confirmed:
    """The bind is no longer provisional."""


@dataclass(frozen=True)
class Admitted:
    """The capability holds. `seconds_left` until the deadline; `extended`: it moved the deadline."""

    seconds_left: float
    extended: bool = False


@dataclass(frozen=True)
class Released:
    """The lease's part ends now; the member must be reset."""

    epoch: int


@dataclass(frozen=True)
class Stale:
    """A successful no-op: that epoch was over already. `other_process`: it was of another incarnation."""

    epoch: int
    other_process: bool = False


@dataclass(frozen=True)
class Retired:
    """The member ends; nobody can bind it any more."""


class End(StrEnum):
    """Why a lease ended at its member: the `reason` of `Ended` and of hints."""

    LEASE_EXPIRED = "LeaseExpired"
    UNCONFIRMED = "Unconfirmed"
    RELEASED = "Released"
    REVOKED = "Revoked"
    DRAINED = "Drained"
    STORE_FAILED = "StoreFailed"
