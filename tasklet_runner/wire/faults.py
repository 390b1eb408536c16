"""Typed faults, the same on the wire, in the SDK, in reasons and in messages."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class FaultKind(StrEnum):
    """What went wrong, as one of a fixed set of words."""

    DISCONNECTED = "Disconnected"
    LEASE_EXPIRED = "LeaseExpired"
    FENCED = "Fenced"
    REVOKED = "Revoked"
    CAPACITY_EXCEEDED = "CapacityExceeded"
    UNSUPPORTED = "Unsupported"
    IO_ERROR = "IoError"
    OUT_OF_FUEL = "OutOfFuel"
    TIMED_OUT = "TimedOut"
    MEMORY_EXCEEDED = "MemoryExceeded"
    OUTPUT_TOO_LARGE = "OutputTooLarge"
    TRAPPED = "Trapped"
    EXIT_CODE = "ExitCode"
    BAD_MODULE = "BadModule"
    POISON = "Poison"


TRANSIENT = frozenset({FaultKind.DISCONNECTED, FaultKind.LEASE_EXPIRED})
"""Retried with back-off, at most `maxRetries`; every other kind is permanent for a chunk and fails closed."""


Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""JSON knows larger ones, which neither MessagePack nor SQLite can keep."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault with what a person needs to mend it.

    `fuel_used` is in wasmtime's units, -1 when unknown; `stderr` is the tail that was kept; `backtrace` has a line per
    WebAssembly frame, innermost first.
    """

    kind: FaultKind
    message: str
    remedy: str = ""
    exit_code: Integer = 0
    trap: str = ""
    fuel_used: Integer = -1
    stderr: str = ""
    backtrace: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The fault as one word with its detail: `ExitCode(3)`, `Trapped(UNREACHABLE)`, `OutOfFuel`."""
        if self.kind is FaultKind.EXIT_CODE:
            return f"{self.kind.value}({self.exit_code})"
        if self.kind is FaultKind.TRAPPED:
            return f"{self.kind.value}({self.trap})"
        return self.kind.value

    @property
    def transient(self) -> bool:
        """True when another try elsewhere may help."""
        return self.kind in TRANSIENT
