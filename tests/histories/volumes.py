"""Rules about volumes that one member serves after another. Pure; see `checker` for how instants are taken."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.histories.history import Entry, Operation
from tests.histories.verdicts import Chain, Record, Rule, Violation, violation

WRITES = frozenset({Operation.PUT, Operation.WRITE, Operation.SET})
READS = frozenset({Operation.GET, Operation.READ})


def one_server(record: Record) -> Iterator[Violation]:
    """When the next server of a volume is ready, the one before has ended: it says nothing more about itself."""
    volumes: dict[str, list[Entry]] = defaultdict(list)
    for served in record.of(Operation.SERVES):
        volumes[served.entry.volume].append(served.entry)
    said = list(record.of(Operation.STATE))
    for servers in volumes.values():
        servers.sort(key=lambda one: one.completed)
        for before, after in pairwise(servers):
            process = (before.member, before.incarnation)
            for one in said:
                by_the_first = (one.entry.member, one.entry.incarnation) == process
                if by_the_first and one.entry.heard and one.reached > after.completed:
                    yield violation(Rule.ONE_SERVER, after, one.entry)


def one_server_in_an_epoch(record: Record) -> Iterator[Violation]:
    """An epoch of a volume is of one bind, at one of its servers."""
    found: dict[tuple[str, int], dict[str, Entry]] = defaultdict(dict)
    for claim in record.claims.values():
        member, incarnation, epoch = claim.identity
        volume = record.volumes.get((member, incarnation))
        bound = next((one.entry for one in claim.binds if one.entry.ok), None)
        if volume and bound is not None:
            found[volume, epoch][incarnation] = bound
    for binds in found.values():
        if len(binds) > 1:
            yield violation(Rule.ONE_HOLDER, *binds.values())


def late_writes(record: Record) -> Iterator[Violation]:
    """What was sent to a server after the next one was bound is on no volume: nobody reads it."""
    for chain in record.chains():
        visible = {one.entry.digest: one.entry for one in chain.others if one.entry.operation in READS and one.entry.ok}
        in_time, late = _written(chain)
        for digest, write in late.items():
            if digest in visible and digest not in in_time:
                yield violation(Rule.NO_OLDER_EPOCH, write, visible[digest])


def _written(chain: Chain) -> tuple[set[str], dict[str, Entry]]:
    """Digests of what can have been written before the next claim began, and what cannot."""
    in_time, late = set(), {}
    for number, claim in enumerate(chain.claims):
        followed = min((later.began_by for later in chain.claims[number + 1 :]), default=float("inf"))
        for one in claim.others:
            if one.entry.operation in WRITES and one.reached > followed:
                late[one.entry.digest] = one.entry
            elif one.entry.operation in WRITES:
                in_time.add(one.entry.digest)
    return in_time, late


def values_stay(record: Record) -> Iterator[Violation]:
    """A value that was set is there from then on, whichever it is."""
    for chain in record.chains():
        values = [one for one in chain.others if one.entry.operation is Operation.SET and one.entry.ok]
        for claim in chain.claims:
            for read in claim.others:
                missing = read.entry.operation is Operation.READ and read.entry.outcome == "NotFound"
                before = [one for one in values if one.entry.key == read.entry.key and one.completed < read.reached]
                if missing and before and claim.stood(read):
                    yield violation(Rule.READABLE, before[0].entry, read.entry)


RULES_OF_VOLUMES: tuple[Callable[[Record], Iterator[Violation]], ...] = (
    *(one_server, one_server_in_an_epoch, late_writes, values_stay),
)
