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


class UnreachableError(LeaseGridError):
    """A member or store that did not answer: the fault Disconnected."""

    code = FaultKind.DISCONNECTED.value


class StoreError(LeaseGridError):
    """A store's disk failed or is full: the fault IoError. Says which store and how to enlarge it."""

    code = FaultKind.IO_ERROR.value


class StoreFencedError(StoreError):
    """A writer of a lower term than the store has seen."""

    code = FaultKind.FENCED.value


class ObjectConflictError(StoreError):
    """An object or a grant that contradicts what is there: objects are write-once."""

    code = "Conflict"


class ResultsError(LeaseGridError):
    """The results directory cannot be written, or two chunks claim one path."""

    code = "Results"


class InputError(LeaseGridError):
    """An input, module or source that cannot be read, or has another hash than the job says."""

    code = "InputError"


class StateDirectoryError(LeaseGridError):
    """The state or runtime directory cannot be used: rights, space, or another run holds it."""

    code = "StateDirectory"
