"""Judges a history: what a lease guarantees, held against what was seen. Pure: no I/O, no clock, no randomness.

Every rule speaks only where the history is certain. An instant is taken at its earliest or latest, whichever accuses
less, so that a machine that stalls between two lines of the recorder makes a rule silent and never wrong.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from tests.histories.claims import CLOCK_SECONDS, Claim, Seen
from tests.histories.history import HOLDERS, SILENT, Entry, Operation
from tests.histories.verdicts import Process, Record, Rule, Violation, record_of, violation
from tests.histories.volumes import READS, RULES_OF_VOLUMES, WRITES

LATE_SECONDS = 1.0
"""A lease ends by its deadline and so much."""

_SERVED = HOLDERS | {Operation.CONFIRM, Operation.RENEW}


def judge(entries: Sequence[Entry]) -> list[Violation]:
    """Everything that must not be; empty for a history that keeps every promise."""
    record = record_of(entries)
    return [found for rule in RULES for found in rule(record)]


def one_holder(record: Record) -> Iterator[Violation]:
    """An epoch is one lease's, and one holder's."""
    for claim in record.claims.values():
        said = [one.entry for one in (*claim.binds, *claim.others) if _speaks_of_lease(one.entry)]
        leases = {entry.lease for entry in said}
        holders = {entry.holder for entry in said if entry.holder}
        if len(leases) > 1 or len(holders) > 1:
            yield violation(Rule.ONE_HOLDER, *{(entry.lease, entry.holder): entry for entry in said}.values())


def no_older_epoch(record: Record) -> Iterator[Violation]:
    """Once a member was seen at an epoch, it serves none before; nor does the next server of its volume."""
    places: dict[tuple[str, ...], list[Seen]] = defaultdict(list)
    for one in record.history:
        places[record.place(one.entry)].append(one)
    for member in places.values():
        newest: Seen | None = None
        marks = iter(sorted((one for one in member if _marks_epoch(one.entry)), key=lambda one: one.completed))
        mark = next(marks, None)
        for one in sorted(member, key=lambda each: each.reached):
            while mark is not None and mark.completed < one.reached:
                if newest is None or mark.entry.epoch > newest.entry.epoch:
                    newest = mark
                mark = next(marks, None)
            if newest is not None and _marks_epoch(one.entry) and one.entry.epoch < newest.entry.epoch:
                yield violation(Rule.NO_OLDER_EPOCH, newest.entry, one.entry)


def only_own_objects(record: Record) -> Iterator[Violation]:
    """A claim reads what was put under it or, on its volume, under its lease; and nothing of another."""
    of_chains = [(chain, one) for chain in record.chains() for one in chain.others]
    puts = {one.entry.digest: (chain, one.entry) for chain, one in of_chains if one.entry.operation in WRITES}
    for chain, one in of_chains:
        if one.entry.operation in READS and one.entry.ok and one.entry.digest in puts:
            owner, put = puts[one.entry.digest]
            if owner is not chain:
                yield violation(Rule.NO_OLDER_EPOCH, put, one.entry)


def no_older_term(record: Record) -> Iterator[Violation]:
    """Once a store was opened under a term, nothing of an older one is accepted, or appears."""
    for chain in record.chains():
        others = chain.others
        opened = [one for one in others if one.entry.operation is Operation.OPEN and one.entry.ok]
        late = [
            (newer, write)
            for write in others
            if write.entry.operation in (Operation.WRITE, Operation.SET, Operation.OPEN)
            for newer in opened
            if newer.entry.term > write.entry.term and newer.completed < write.reached
        ]
        visible = {one.entry.digest: one.entry for one in others if one.entry.operation in READS}
        for newer, write in late:
            if write.entry.ok:
                yield violation(Rule.NO_OLDER_TERM, newer.entry, write.entry)
            elif write.entry.digest and (read := visible.get(write.entry.digest)) is not None and read.ok:
                yield violation(Rule.NO_OLDER_TERM, newer.entry, write.entry, read)


def newest_value(record: Record) -> Iterator[Violation]:
    """A value that a term has set is never again that of an older term, nor an older one of the same."""
    for chain in record.chains():
        values = {one.entry.digest: one for one in chain.others if one.entry.operation is Operation.SET}
        for read in chain.others:
            if read.entry.operation is not Operation.READ or not read.entry.ok:
                continue
            value = values.get(read.entry.digest)
            if value is None:
                continue
            for later in values.values():
                if later.entry.key == read.entry.key and _replaced(value, later) and later.completed < read.reached:
                    yield violation(Rule.NO_OLDER_TERM, value.entry, later.entry, read.entry)


def readable(record: Record) -> Iterator[Violation]:
    """What was acknowledged is there, with its digest, for as long as a claim of its lease stands."""
    for chain in record.chains():
        written = {
            one.entry.key: one
            for one in chain.others
            if one.entry.operation in (Operation.PUT, Operation.WRITE) and one.entry.ok
        }
        for claim in chain.claims:
            for get in (one for one in claim.others if one.entry.operation is Operation.GET and one.entry.heard):
                write = written.get(get.entry.key)
                served = write is not None and get.entry.ok and get.entry.digest == write.entry.digest
                if write is not None and not served and write.completed < get.reached and claim.stood(get):
                    yield violation(Rule.READABLE, write.entry, get.entry)


def over(record: Record) -> Iterator[Violation]:
    """After its release, its deadline, or the member's own word that it is free, a claim serves nothing."""
    for claim in record.claims.values():
        released, ends = min(claim.released(surely=True), claim.free()), claim.ends_by()
        for one in claim.others:
            if one.entry.operation not in _SERVED or not one.entry.ok:
                continue
            if one.reached > min(released, ends + CLOCK_SECONDS):
                yield Violation(Rule.OVER, f"it ended by {min(released, ends):.3f}: {one.entry}")


def in_time(record: Record) -> Iterator[Violation]:
    """A second after its deadline a member that has answered since then is free, and its slots are others.

    The answer proves that the member ran in between: a machine that did not let it run cannot accuse it.
    """
    by_member = _by_member(record)
    for claim in record.claims.values():
        released, ends = claim.released(surely=True), claim.ends_by()
        member = by_member[claim.identity[:2]]
        for one in [*claim.others, *_holding_slots(claim, member)]:
            if not _still_there(one.entry):
                continue
            if one.reached > released or (one.reached > ends + LATE_SECONDS and _ran(member, ends, one)):
                yield Violation(Rule.IN_TIME, f"it ended by {min(released, ends):.3f}: {one.entry}")


def not_too_early(record: Record) -> Iterator[Violation]:
    """While a claim stands for certain, its member says so."""
    by_member = _by_member(record)
    for claim in record.claims.values():
        for one in by_member[claim.identity[:2]] if claim.binds else ():
            says = one.entry.operation is Operation.STATE and one.entry.ok
            free = (one.entry.epoch, bool(one.entry.lease)) != (claim.identity[2], True)
            if says and free and claim.began_by < one.reached and claim.stood(one):
                yield Violation(Rule.TOO_EARLY, f"it lasts until {claim.lasts_until(one.reached):.3f}: {one.entry}")


def connections_end(record: Record) -> Iterator[Violation]:
    """A holder's connection ends with its claim: none stands for seconds after it and says nothing."""
    by_member = _by_member(record)
    for claim in record.claims.values():
        for one in claim.others:
            end = Seen(one.entry, one.completed)
            if one.entry.outcome == SILENT and _ran(by_member[claim.identity[:2]], claim.ends_by(), end):
                yield Violation(Rule.IN_TIME, f"it ended by {claim.ends_by():.3f}: {one.entry}")


def alive(record: Record) -> Iterator[Violation]:
    """Members end by order only."""
    killed = {(one.entry.member, one.entry.incarnation) for one in record.of(Operation.KILLED)}
    for one in record.of(Operation.DIED):
        if (one.entry.member, one.entry.incarnation) not in killed:
            yield violation(Rule.ALIVE, one.entry)


RULES: tuple[Callable[[Record], Iterator[Violation]], ...] = (
    *(one_holder, no_older_epoch, only_own_objects, no_older_term, newest_value),
    *(readable, over, in_time, not_too_early, connections_end, alive),
    *RULES_OF_VOLUMES,
)


def _by_member(record: Record) -> dict[Process, list[Seen]]:
    found: dict[Process, list[Seen]] = defaultdict(list)
    for one in record.history:
        found[one.entry.member, one.entry.incarnation].append(one)
    return found


def _speaks_of_lease(entry: Entry) -> bool:
    return bool(entry.lease) and entry.ok and entry.operation in _SERVED | {Operation.BIND, Operation.STATE}


def _marks_epoch(entry: Entry) -> bool:
    """The member was at this epoch when it answered. (A release of an older one is a no-op that says yes.)"""
    return entry.ok and entry.epoch > 0 and entry.operation in _SERVED | {Operation.BIND, Operation.STATE}


def _replaced(value: Seen, later: Seen) -> bool:
    """`later` was acknowledged, and nothing of `value` can have come after it."""
    if not later.entry.ok or value is later:
        return False
    return value.entry.term < later.entry.term or (value.entry.ok and value.completed < later.reached)


def _still_there(entry: Entry) -> bool:
    return entry.operation is Operation.SLOTS or (entry.operation is Operation.STATE and bool(entry.lease))


def _ran(member: Sequence[Seen], ends: float, one: Seen) -> bool:
    # Whoever has answered after the end has seen to the end before it answers again; what it killed may take a moment.
    dying = LATE_SECONDS if one.entry.operation is Operation.SLOTS else 0.0
    return any(
        answer.entry.heard
        and answer.entry.operation is not Operation.SLOTS
        and answer.reached > ends + CLOCK_SECONDS
        and answer.completed < one.reached - dying
        for answer in member
    )


def _holding_slots(claim: Claim, member: Sequence[Seen]) -> Iterator[Seen]:
    """Looks at the member's processes that show one which the claim had while it stood for certain."""
    looks = [one for one in member if one.entry.operation is Operation.SLOTS]
    until = min(claim.lasts_until(claim.began_by), claim.released(surely=False))
    own = {slot for one in looks if claim.began_by < one.reached and one.completed < until for slot in one.entry.slots}
    return (one for one in looks if own.intersection(one.entry.slots))
