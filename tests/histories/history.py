"""What a history is: entries by one monotonic clock, as JSON lines."""

import math
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec

OK = "ok"
UNKNOWN = "unknown"
"""Nobody heard how it ended; any other outcome that is not OK is the refusal's own word."""

SILENT = "silent"
"""The connection stood, and nothing came over it for longer than anything was held back."""


class Operation(StrEnum):
    """What was done, or seen.

    BIND to RETIRE: what the fabric orders. STATE: a member's word about itself. SLOTS: the processes below a member.
    SERVES: a store member was started, and ready with its `volume` at `completed`. DIED: a member's process that was
    ready has ended badly; KILLED: by order, after `invoked`. PUT to SHOW: what a holder does. OPEN, WRITE, SET: what a
    coordinator does under its term. STOPPED: a member's process did not run from `invoked` to `completed`. HELD:
    nothing of what `who` says came to the member in that time. STEPPED: a wall clock was set.
    """

    BIND = "bind"
    CONFIRM = "confirm"
    RENEW = "renew"
    RELEASE = "release"
    RETIRE = "retire"
    STATE = "state"
    SLOTS = "slots"
    SERVES = "serves"
    DIED = "died"
    KILLED = "killed"
    PUT = "put"
    GET = "get"
    SHOW = "show"
    RUN = "run"
    OPEN = "open"
    WRITE = "write"
    SET = "set"
    READ = "read"
    STOPPED = "stopped"
    HELD = "held"
    STEPPED = "stepped"


ORDERS = frozenset({Operation.BIND, Operation.CONFIRM, Operation.RENEW, Operation.RELEASE, Operation.RETIRE})
HOLDERS = frozenset(
    {Operation.PUT, Operation.GET, Operation.SHOW, Operation.RUN, Operation.OPEN, Operation.WRITE, Operation.SET}
    | {Operation.READ}
)
"""What takes a claim that stands."""

WAITS = frozenset({Operation.STOPPED, Operation.HELD})


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation. `invoked`, `completed`: seconds of this machine's monotonic clock, which all processes share.

    `member`, `incarnation`, `epoch`, `lease`: whom it is about, and under which claim. `holder`: the public key of a
    bind; of what a capability is shown for, too. `issued_at`, `deadline`: as they stand in the statement, by its
    signer's clock. `key`, `digest`: of an object. `term`: the coordinator's. `slots`: `pid:start` of each process.
    `volume`: what a store member serves, if another may serve it after.
    """

    who: str
    operation: Operation
    invoked: float
    completed: float = math.inf
    outcome: str = OK
    member: str = ""
    incarnation: str = ""
    epoch: int = 0
    term: int = 0
    lease: str = ""
    holder: str = ""
    issued_at: float = 0.0
    deadline: float = 0.0
    key: str = ""
    digest: str = ""
    slots: tuple[str, ...] = ()
    volume: str = ""

    @property
    def ok(self) -> bool:
        """It was done, and said so."""
        return self.outcome == OK

    @property
    def heard(self) -> bool:
        """The member has answered, whatever it said."""
        return self.outcome not in (UNKNOWN, SILENT)

    def __str__(self) -> str:
        claim = f"{self.lease or '-'} at {self.member}/{self.epoch}"
        what = " ".join(filter(None, (self.key, f"term {self.term}" if self.term else "", self.digest[:8])))
        return f"{self.who}: {self.operation} {what} {claim} [{self.invoked:.3f}, {self.completed:.3f}] {self.outcome}"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def dump(entries: Iterable[Entry], path: Path) -> None:
    """Write them down, one a line, in the order of their beginnings. What never completed has no `completed`."""
    lines = [_encode(entry) for entry in sorted(entries, key=lambda one: one.invoked)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def load(path: Path) -> list[Entry]:
    """What `dump` wrote."""
    return [_decode(line) for line in path.read_bytes().splitlines()]
