"""The one error hierarchy. Every error says what and where (cause) and what to do (remedy)."""

from typing import ClassVar

from tasklet_runner.wire.faults import Fault, FaultKind


class LeaseGridError(Exception):
    """The base of every error that this project raises on purpose.

    `code` is a stable word for programs; `cause` says what and where; `remedy` says what to do.
    """

    code: ClassVar[str] = "Error"

    def __init__(self, cause: str, *, remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause} ({self.remedy})" if self.remedy else self.cause


class FaultError(LeaseGridError):
    """A typed fault of design section 1, carried as an exception."""

    code = "Fault"

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message, remedy=fault.remedy)
        self.fault = fault


class CapacityExceededError(LeaseGridError):
    """No member can be had now; normal while a job ramps up. Raised by fabrics as the fault CapacityExceeded."""

    code = FaultKind.CAPACITY_EXCEEDED.value


class PoolEmptyError(CapacityExceededError):
    """`onEmpty: Fail` and no ready member: says so at once."""

    code = "PoolEmpty"


class UnsupportedError(LeaseGridError):
    """A request that no pool could ever satisfy, or a feature that is off."""

    code = FaultKind.UNSUPPORTED.value


class LeaseEndedError(LeaseGridError):
    """The lease has expired, was released or was revoked; it is not renewed any more."""

    code = FaultKind.LEASE_EXPIRED.value


class ProtocolError(LeaseGridError):
    """A frame or request that does not follow the protocol; the connection is of no further use."""

    code = "BadRequest"


class SignatureError(ProtocolError):
    """A signed statement that is malformed, forged or of another kind."""

    code = "BadSignature"


class RefusedError(LeaseGridError):
    """A member or store understood the request and said no:

    Conflict, NotReady, Fenced, LeaseExpired, Unauthenticated …
    """

    def __init__(self, reason: str, cause: str, *, remedy: str = "") -> None:
        super().__init__(cause, remedy=remedy)
        self.reason = reason


class NotLeaderError(LeaseGridError):
    """Asked of a replica that does not lead; `leader` is the URL of the one that does, empty when none is known."""

    code = "NotLeader"

    def __init__(self, leader: str) -> None:
        super().__init__(
            f"this replica does not lead; {leader or 'none'} does",
            remedy="ask the leader" if leader else "try again in a second or two",
        )
        self.leader = leader


class OverloadedError(LeaseGridError):
    """Too many requests at once, or a caller too quick; `retry_after` in seconds."""

    code = "TooManyRequests"

    def __init__(self, cause: str, *, remedy: str, retry_after: float) -> None:
        super().__init__(cause, remedy=remedy)
        self.retry_after = retry_after


class UnreachableError(LeaseGridError):
    """A member or store that did not answer: the fault Disconnected."""

    code = FaultKind.DISCONNECTED.value


class WrongKeyError(UnreachableError):
    """Whoever answers at a member's address has another key than the member: for its caller the member is away.

    A key that was known before is compared before anything but the TLS handshake is sent.
    """

    def __init__(self, endpoint: str, found: str, expected: str = "") -> None:
        super().__init__(
            f"{endpoint} is answered by the key {found or 'of nobody'}"
            + (f" and not by {expected}, the leased member's" if expected else ", which is not its incarnation"),
            remedy="the member has ended and its address is another's now: read the lease's status, or ask for another",
        )


class StoreError(LeaseGridError):
    """A store's disk failed or is full: the fault IoError. Says which store and how to enlarge it."""

    code = FaultKind.IO_ERROR.value


class StoreFencedError(StoreError):
    """A writer of a lower term than the store has seen."""

    code = FaultKind.FENCED.value


class ObjectConflictError(StoreError):
    """An object or a grant that contradicts what is there: objects are write-once."""

    code = "Conflict"


class CheckpointDamagedError(StoreError):
    """Checkpoints were kept, and none of them is whole: to begin anew is for a person to decide."""

    code = "CheckpointDamaged"


class CheckpointVersionError(StoreError):
    """A checkpoint of a format, or a state, that this release or program does not read."""

    code = "CheckpointVersion"


class ResultsError(LeaseGridError):
    """The results directory cannot be written, or two chunks claim one path."""

    code = "Results"


class InputError(LeaseGridError):
    """An input, module or source that cannot be read, or has another hash than the job says."""

    code = "InputError"


class StateDirectoryError(LeaseGridError):
    """The state or runtime directory cannot be used: rights, space, or another run holds it."""

    code = "StateDirectory"


class ClusterError(LeaseGridError):
    """A cluster that cannot be reached, refuses its user, lacks what is needed, or does not answer in time."""

    code = "Cluster"


class NoSuchObjectError(LeaseGridError):
    """An object that was named is not there."""

    code = "NotFound"


class InvalidObjectError(LeaseGridError):
    """An object that contradicts its schema, its rules, or what already stands under its name."""

    code = "Invalid"


class JobChangedError(InvalidObjectError):
    """A run that cannot go on from what an earlier run of its job did: the job or a file that it names was changed."""

    code = "JobChanged"
