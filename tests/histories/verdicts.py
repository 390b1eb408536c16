"""What rules go by: a history that is prepared for them, and what they say. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.histories.claims import Claim, ClaimId, Seen, claims, seen
from tests.histories.history import Entry, Operation

Process = tuple[str, str]
"""Member, incarnation."""


class Rule(StrEnum):
    """What a history must never show."""

    ONE_HOLDER = "two holders in one epoch of a member"
    ONE_SERVER = "two members served one volume"
    NO_OLDER_EPOCH = "an older epoch was served after a newer one"
    NO_OLDER_TERM = "an older term wrote after a newer one"
    READABLE = "an acknowledged write was not readable"
    OVER = "something was served after the end of its lease"
    IN_TIME = "a lease did not end by its deadline and a second"
    TOO_EARLY = "a lease ended that nobody ended before its deadline"
    ALIVE = "a member ended that nobody ended"


@dataclass(frozen=True)
class Violation:
    """Which rule, and the entries that show it, in words."""

    rule: Rule
    words: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.words}"


@dataclass(frozen=True)
class Chain:
    """What one lease had of one volume, by the epochs of whoever served it; or one claim of a member without."""

    claims: tuple[Claim, ...]

    @property
    def others(self) -> list[Seen]:
        """All but the binds, of all its claims."""
        return [one for claim in self.claims for one in claim.others]


@dataclass(frozen=True)
class Record:
    """A history, prepared. `volumes`: what each process serves, if it is a store that is known by its volume."""

    history: Sequence[Seen]
    claims: Mapping[ClaimId, Claim]
    volumes: Mapping[Process, str]

    def of(self, *operations: Operation) -> Iterator[Seen]:
        """Entries of these operations, in the history's order."""
        return (one for one in self.history if one.entry.operation in operations)

    def place(self, entry: Entry) -> tuple[str, ...]:
        """Where epochs are counted: a volume, whoever serves it, or a process."""
        process = (entry.member, entry.incarnation)
        return (self.volumes[process],) if process in self.volumes else process

    def chains(self) -> list[Chain]:
        """Every claim is in one of them."""
        found: dict[tuple[str, ...], list[Claim]] = {}
        for claim in sorted(self.claims.values(), key=lambda one: one.identity[2]):
            volume = self.volumes.get(claim.identity[:2])
            at = (volume, claim.lease) if volume else tuple(map(str, claim.identity))
            found.setdefault(at, []).append(claim)
        return [Chain(tuple(one)) for one in found.values()]


def record_of(entries: Sequence[Entry]) -> Record:
    """In the order of beginnings, whatever the order in which it was written down."""
    history = sorted(seen(entries), key=lambda one: one.entry.invoked)
    served = (one.entry for one in history if one.entry.operation is Operation.SERVES)
    return Record(history, claims(history), {(one.member, one.incarnation): one.volume for one in served})


def violation(rule: Rule, *entries: Entry) -> Violation:
    """With each entry in words."""
    return Violation(rule, "; ".join(map(str, entries)))
