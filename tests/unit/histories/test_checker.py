"""The checker of histories: what it must find, beside what it must not. All histories here are made by hand."""

import math
from pathlib import Path

import pytest

from tests.histories.checker import judge
from tests.histories.history import OK, SILENT, UNKNOWN, Entry, dump, load
from tests.histories.verdicts import Rule
from tests.unit.histories.lines import (
    BOUND,
    EXPIRED,
    FENCED,
    FIRST,
    FREE,
    NOT_FOUND,
    OTHER,
    PUT,
    SECOND,
    SHORT,
    O,
    bind,
    entry,
    get,
    read,
    state,
    value,
    write,
)

VIOLATING = {
    "two leases are told that they have one epoch": (Rule.ONE_HOLDER, (bind(), bind(0.05, lease="b", holder="B"))),
    "one lease is bound for two holders in one epoch": (Rule.ONE_HOLDER, (bind(), bind(0.05, holder="B"))),
    "a member names another lease in the epoch of the first": (Rule.ONE_HOLDER, (*BOUND, state(1.0, lease="b"))),
    "a put of another lease is taken in the epoch of the first": (
        Rule.ONE_HOLDER,
        (*BOUND, entry(O.PUT, 1.0, 1.1, lease="b", key="k", digest="d")),
    ),
    "a put of epoch 1 is taken after epoch 2 was bound": (
        Rule.NO_OLDER_EPOCH,
        (*BOUND, OTHER, entry(O.PUT, 5.2, 5.3, key="k", digest="d")),
    ),
    "a renewal of epoch 1 is taken after epoch 2 was bound": (
        Rule.NO_OLDER_EPOCH,
        (*BOUND, OTHER, entry(O.RENEW, 5.2, 5.3, deadline=1060.0)),
    ),
    "a member goes back to an epoch": (Rule.NO_OLDER_EPOCH, (*BOUND, OTHER, state(5.2))),
    "a bind of a past epoch is taken again": (Rule.NO_OLDER_EPOCH, (*BOUND, OTHER, bind(5.2))),
    "a claim reads what was put under the one before": (
        Rule.NO_OLDER_EPOCH,
        (*BOUND, PUT, OTHER, get(6.0, epoch=2, lease="b")),
    ),
    "a write that was held back until the next epoch is taken": (
        Rule.NO_OLDER_EPOCH,
        (
            *BOUND,
            OTHER,
            entry(O.HELD, 0.9, 5.2, who="h"),
            entry(O.PUT, 1.0, 5.3, who="h", key="k", digest="d"),
        ),
    ),
    "a store is opened under a lower term": (Rule.NO_OLDER_TERM, (*BOUND, SECOND, entry(O.OPEN, 2.2, 2.3, term=1))),
    "a write of the first term is taken after the second opened": (
        Rule.NO_OLDER_TERM,
        (*BOUND, FIRST, SECOND, write(2.2)),
    ),
    "a write of the first term is refused and appears all the same": (
        Rule.NO_OLDER_TERM,
        (*BOUND, FIRST, SECOND, write(2.2, outcome=FENCED), get(3.0, key="w", digest="w1")),
    ),
    "a write of the first term that nobody heard of again appears": (
        Rule.NO_OLDER_TERM,
        (*BOUND, FIRST, SECOND, write(2.2, outcome=UNKNOWN), get(3.0, key="w", digest="w1")),
    ),
    "a value of the first term is there after one of the second": (
        Rule.NO_OLDER_TERM,
        (*BOUND, FIRST, value(1.2, 1, "v1", outcome=UNKNOWN), SECOND, value(2.2, 2, "v2"), read(3.0, "v1")),
    ),
    "a value is the one before last": (
        Rule.NO_OLDER_TERM,
        (*BOUND, FIRST, value(1.2, 1, "v1"), value(1.4, 1, "v2"), read(3.0, "v1")),
    ),
    "an acknowledged object is not found": (Rule.READABLE, (*BOUND, PUT, get(2.0, digest="", outcome=NOT_FOUND))),
    "an acknowledged object has other bytes": (Rule.READABLE, (*BOUND, PUT, get(2.0, digest="e"))),
    "an acknowledged write of a coordinator is not found": (
        Rule.READABLE,
        (*BOUND, FIRST, write(1.2), get(2.0, key="w", digest="", outcome=NOT_FOUND)),
    ),
    "a store says that a lease has ended before its time": (
        Rule.READABLE,
        (*BOUND, PUT, get(2.0, digest="", outcome=EXPIRED)),
    ),
    "a store does not know that the lease was renewed": (
        Rule.READABLE,
        (
            *SHORT,
            entry(O.PUT, 0.4, 0.5, key="k", digest="d"),
            entry(O.RENEW, 0.5, 0.6, deadline=1010.0),
            get(2.0, digest="", outcome=EXPIRED),
        ),
    ),
    "an object is read after the deadline": (Rule.OVER, (*SHORT, get(1.2))),
    "an object is put after the release": (
        Rule.OVER,
        (*BOUND, entry(O.RELEASE, 2.0, 2.1), entry(O.PUT, 2.2, 2.3, key="k", digest="d")),
    ),
    "a task runs after the deadline": (Rule.OVER, (*SHORT, entry(O.RUN, 1.2, 1.3))),
    "a lease is renewed after its deadline": (Rule.OVER, (*SHORT, entry(O.RENEW, 1.2, 1.3, deadline=1060.0))),
    "a bind is confirmed after its release": (
        Rule.OVER,
        (*BOUND, entry(O.RELEASE, 2.0, 2.1), entry(O.CONFIRM, 2.2, 2.3)),
    ),
    "a put that waited at a stopped member until after the end is taken": (
        Rule.OVER,
        (*SHORT, entry(O.STOPPED, 0.5, 3.0), entry(O.PUT, 0.6, 3.1, key="k", digest="d")),
    ),
    "a member is claimed more than a second after the deadline": (Rule.IN_TIME, (*SHORT, state(1.2), state(2.2))),
    "a member is claimed after it answered its release": (
        Rule.IN_TIME,
        (*BOUND, entry(O.RELEASE, 2.0, 2.1), state(2.2)),
    ),
    "a slot of a lease runs two seconds after its deadline": (
        Rule.IN_TIME,
        (
            *SHORT,
            entry(O.SLOTS, 0.4, 0.41, epoch=0, lease="", slots=("7:1",)),
            state(1.2, lease=""),
            entry(O.SLOTS, 2.5, 2.51, epoch=0, lease="", slots=("7:1", "8:1")),
        ),
    ),
    "a slot of a lease outlives its release": (
        Rule.IN_TIME,
        (
            *BOUND,
            entry(O.SLOTS, 0.4, 0.41, epoch=0, lease="", slots=("7:1",)),
            entry(O.RELEASE, 2.0, 2.1),
            entry(O.SLOTS, 2.2, 2.21, epoch=0, lease="", slots=("7:1",)),
        ),
    ),
    "a task runs after the member said that it is free": (
        Rule.OVER,
        (*BOUND, state(2.0, lease=""), entry(O.RUN, 2.2, 2.3)),
    ),
    "a member is free before the deadline and was not released": (Rule.TOO_EARLY, (*BOUND, state(2.0, lease=""))),
    "a member is of the next lease before the deadline of the first": (
        Rule.TOO_EARLY,
        (*BOUND, bind(1.8, lease="b", holder="B", epoch=2), state(2.0, lease="b", epoch=2)),
    ),
    "a member is free before the deadline that a renewal has set": (
        Rule.TOO_EARLY,
        (*SHORT, entry(O.RENEW, 0.5, 0.6, deadline=1010.0), state(2.0, lease="")),
    ),
    "a connection stands long after the lease and says nothing": (
        Rule.IN_TIME,
        (*SHORT, state(1.2, lease=""), entry(O.RUN, 0.5, 12.5, outcome=SILENT)),
    ),
    "a member ends that nobody ended": (Rule.ALIVE, (*BOUND, entry(O.DIED, 2.0, 2.0))),
}

KEPT = {
    "nothing happened": (),
    "a lease is bound, used, released, and the next one follows": (
        (*BOUND, PUT, get(2.0), entry(O.RELEASE, 3.0, 3.2), OTHER, state(6.0, epoch=2, lease="b"))
    ),
    "the same bind is taken twice": (*BOUND, bind(0.3)),
    "another lease's bind of the same epoch is refused": (
        *BOUND,
        bind(0.05, lease="b", holder="B", outcome="Conflict"),
    ),
    "a put of epoch 1 began before epoch 2 was bound": (
        *SHORT,
        entry(O.PUT, 0.9, 6.0, key="k", digest="d"),
        OTHER,
    ),
    "a put of epoch 1 is refused after epoch 2 was bound": (
        *BOUND,
        entry(O.RELEASE, 3.0, 3.2),
        OTHER,
        entry(O.PUT, 5.2, 5.3, key="k", digest="d", outcome=FENCED),
    ),
    "an old release of a past epoch is a no-op that says yes": (
        *BOUND,
        entry(O.RELEASE, 3.0, 3.2),
        OTHER,
        entry(O.RELEASE, 6.0, 6.1),
    ),
    "a write of the first term overlaps the opening of the second": (
        *BOUND,
        FIRST,
        entry(O.WRITE, 1.9, 2.2, key="w", digest="w1", term=1),
        SECOND,
        get(3.0, key="w", digest="w1"),
    ),
    "a write of the first term is refused and never appears": (
        *BOUND,
        FIRST,
        SECOND,
        write(2.2, outcome=FENCED),
        get(3.0, key="w", digest="", outcome=NOT_FOUND),
    ),
    "a value of the first term is read while the second one's is under way": (
        *BOUND,
        FIRST,
        value(1.2, 1, "v1"),
        SECOND,
        entry(O.SET, 2.2, 4.0, key="v", term=2, digest="v2"),
        read(3.0, "v1"),
    ),
    "a get is cut off": (*BOUND, PUT, get(2.0, digest="", outcome=UNKNOWN)),
    "an object is not found whose put was never acknowledged": (
        *BOUND,
        entry(O.PUT, 1.0, 1.1, key="k", digest="d", outcome=UNKNOWN),
        get(2.0, digest="", outcome=NOT_FOUND),
    ),
    "a get is refused while a release is under way": (
        *BOUND,
        PUT,
        entry(O.RELEASE, 1.9, 2.3),
        get(2.0, digest="", outcome=EXPIRED),
    ),
    "a get is refused close to the deadline, which nobody knows so exactly": (
        *SHORT,
        entry(O.PUT, 0.4, 0.5, key="k", digest="d"),
        get(0.95, digest="", outcome=EXPIRED),
    ),
    "a bind that nobody confirmed ends after five seconds": (
        bind(),
        FREE,
        entry(O.RENEW, 5.3, 5.4, deadline=1060.0, outcome=EXPIRED),
    ),
    "an object is read after a renewal moved the deadline": (
        *SHORT,
        entry(O.RENEW, 0.5, 0.6, deadline=1010.0),
        get(5.0),
    ),
    "an object is read after a session showed a later capability": (
        *SHORT,
        entry(O.PUT, 0.5, 0.6, key="k", digest="d", deadline=1010.0),
        get(5.0),
    ),
    "a member that stood still until after the deadline is claimed when it answers first": (
        *SHORT,
        entry(O.STOPPED, 0.5, 3.0),
        state(3.01),
        state(3.05, lease=""),
    ),
    "a slow machine answers late, and only once": (*SHORT, entry(O.STATE, 2.5, 4.0)),
    "a member is free while its release is under way": (*BOUND, entry(O.RELEASE, 1.9, 2.3), state(2.0, lease="")),
    "a member is free after a release that nobody heard of": (
        *BOUND,
        entry(O.RELEASE, 1.5, 1.6, outcome=UNKNOWN),
        state(2.0, lease=""),
    ),
    "a member is free when the question came before the bind": (*BOUND, entry(O.STATE, 0.02, 0.3, lease="", epoch=0)),
    "a member is free close to the deadline, which nobody knows so exactly": (*SHORT, state(1.0, lease="")),
    "a killed slot takes a moment to be gone on a slow machine": (
        *SHORT,
        entry(O.SLOTS, 0.4, 0.41, epoch=0, lease="", slots=("7:1",)),
        state(4.0),
        entry(O.SLOTS, 4.1, 4.11, epoch=0, lease="", slots=("7:1",)),
    ),
    "nobody heard how the bind ended": (
        bind(outcome=UNKNOWN, seconds=1.0),
        state(9.0, lease=""),
    ),
}


@pytest.mark.parametrize(("rule", "history"), VIOLATING.values(), ids=list(VIOLATING))
def test_it_finds(rule: Rule, history: tuple[Entry, ...]) -> None:
    assert {violation.rule for violation in judge(history)} >= {rule}, judge(history)


@pytest.mark.parametrize("history", KEPT.values(), ids=list(KEPT))
def test_it_finds_nothing_when(history: tuple[Entry, ...]) -> None:
    assert judge(history) == []


def test_the_order_in_which_entries_were_written_down_does_not_count() -> None:
    for _, history in VIOLATING.values():
        assert sorted(map(str, judge(history))) == sorted(map(str, judge(history[::-1])))


def test_a_history_is_the_same_after_it_was_written_down(tmp_path: Path) -> None:
    history = [*BOUND, PUT, entry(O.PUT, 2.0, math.inf, outcome=UNKNOWN), entry(O.SLOTS, 3.0, 3.1, slots=("7:1",))]
    dump(history, tmp_path / "history")
    assert load(tmp_path / "history") == history
    assert (OK, history[0].ok) == ("ok", True)
