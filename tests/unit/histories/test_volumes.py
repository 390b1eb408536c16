"""The checker of histories, where a volume is served by one member after another; see `test_checker`."""

from typing import Any

import pytest

from tests.histories.checker import judge
from tests.histories.history import UNKNOWN, Entry
from tests.histories.verdicts import Rule
from tests.unit.histories.lines import BOUND, FIRST, NOT_FOUND, PUT, O, bind, entry, get, read, state, value, write
from tests.unit.histories.test_checker import VIOLATING

FIRST_SERVER = entry(O.SERVES, -1.0, -0.5, epoch=0, lease="", volume="v")
NEXT_SERVER = entry(O.SERVES, 3.0, 3.2, member="n", incarnation="j", epoch=0, lease="", volume="v")
ANOTHER_VOLUME = entry(O.SERVES, 3.0, 3.2, member="n", incarnation="j", epoch=0, lease="", volume="u")
KILLED = entry(O.KILLED, 2.0, 2.1, epoch=0, lease="")
FALLEN = (FIRST_SERVER, *BOUND, PUT, KILLED, entry(O.DIED, 2.05, 2.05, outcome="-9", epoch=0, lease=""))
OTHER_LEASE: dict[str, Any] = {"lease": "b", "holder": "B"}
NEXT: dict[str, Any] = {"member": "n", "incarnation": "j", "epoch": 2}
FOLLOWED = (*FALLEN, NEXT_SERVER, bind(3.3, **NEXT), entry(O.CONFIRM, 3.5, 3.6, **NEXT))

VIOLATING_ON_VOLUMES = {
    "a member ends after another was killed": (Rule.ALIVE, (*FOLLOWED, entry(O.DIED, 4.0, 4.0, **NEXT))),
    "an acknowledged object is not found at the next server of its volume": (
        Rule.READABLE,
        (*FOLLOWED, get(4.0, digest="", outcome=NOT_FOUND, **NEXT)),
    ),
    "a value that was set is not there at the next server": (
        Rule.READABLE,
        (
            *FOLLOWED,
            FIRST,
            value(1.2, 1, "v1"),
            entry(O.READ, 4.0, 4.1, key="v", outcome=NOT_FOUND, **NEXT),
        ),
    ),
    "a value is the one before last at the next server": (
        Rule.NO_OLDER_TERM,
        (*FOLLOWED, FIRST, value(1.2, 1, "v1"), value(1.4, 1, "v2"), read(4.0, "v1", **NEXT)),
    ),
    "a write of the first term is taken at the next server after the second opened": (
        Rule.NO_OLDER_TERM,
        (*FOLLOWED, FIRST, entry(O.OPEN, 1.5, 1.6, term=2), write(4.0, **NEXT)),
    ),
    "the next server of a volume counts epochs from the beginning": (
        Rule.NO_OLDER_EPOCH,
        (*FALLEN, entry(O.RENEW, 1.5, 1.6, epoch=7), NEXT_SERVER, state(3.3, **NEXT)),
    ),
    "the next server takes a put of the epoch before": (
        Rule.NO_OLDER_EPOCH,
        (*FOLLOWED, entry(O.PUT, 4.0, 4.1, key="late", digest="l")),
    ),
    "what was sent to a killed server after the next was bound appears there": (
        Rule.NO_OLDER_EPOCH,
        (
            *FOLLOWED,
            entry(O.PUT, 4.0, 4.1, key="late", digest="l", outcome=UNKNOWN),
            get(4.5, key="late", digest="l", **NEXT),
        ),
    ),
    "the next server of a volume shows another lease what was put": (
        Rule.NO_OLDER_EPOCH,
        (*FALLEN, NEXT_SERVER, bind(3.3, **NEXT, **OTHER_LEASE), get(4.0, **NEXT, lease="b")),
    ),
    "a server says that it is there after the next one is": (Rule.ONE_SERVER, (*FOLLOWED, state(4.0))),
    "a free server says that it is there after the next one is": (Rule.ONE_SERVER, (*FOLLOWED, state(4.0, lease=""))),
    "two servers of a volume are bound in one epoch": (
        Rule.ONE_HOLDER,
        (*FALLEN, NEXT_SERVER, bind(3.3, **(NEXT | {"epoch": 1}))),
    ),
}

KEPT = {
    "a store is killed, and the next server of its volume serves what was put": (
        *FOLLOWED,
        get(4.0, **NEXT),
        entry(O.PUT, 4.2, 4.3, key="k2", digest="d2", **NEXT),
    ),
    "the holder of a killed store goes on there, and nobody answers": (
        *FOLLOWED,
        entry(O.PUT, 4.0, 4.1, key="late", digest="l", outcome=UNKNOWN),
        get(4.5, key="late", digest="", outcome=NOT_FOUND, **NEXT),
    ),
    "what nobody heard of was written before the server was killed": (
        *FOLLOWED,
        entry(O.PUT, 1.5, 2.2, key="late", digest="l", outcome=UNKNOWN),
        get(4.5, key="late", digest="l", **NEXT),
    ),
    "an object is put again at the next server": (
        *FOLLOWED,
        entry(O.PUT, 4.0, 4.1, key="late", digest="l", outcome=UNKNOWN),
        entry(O.PUT, 4.1, 4.2, key="late", digest="l", **NEXT),
        get(4.5, key="late", digest="l", **NEXT),
    ),
    "another volume has nothing of a killed store": (
        *FALLEN,
        ANOTHER_VOLUME,
        bind(3.3, **(NEXT | {"epoch": 1})),
        get(4.0, digest="", outcome=NOT_FOUND, **(NEXT | {"epoch": 1})),
    ),
    "a server answered as the next one was starting": (*FALLEN, entry(O.STATE, 1.9, 3.1), NEXT_SERVER),
}


@pytest.mark.parametrize(("rule", "history"), VIOLATING_ON_VOLUMES.values(), ids=list(VIOLATING_ON_VOLUMES))
def test_it_finds(rule: Rule, history: tuple[Entry, ...]) -> None:
    assert {violation.rule for violation in judge(history)} >= {rule}, judge(history)
    assert judge(history[::-1]), "the order in which entries were written down does not count"


@pytest.mark.parametrize("history", KEPT.values(), ids=list(KEPT))
def test_it_finds_nothing_when(history: tuple[Entry, ...]) -> None:
    assert judge(history) == []


@pytest.mark.parametrize("rule", Rule)
def test_no_rule_is_without_a_history_that_breaks_it(rule: Rule) -> None:
    assert rule in {broken for broken, _ in (*VIOLATING.values(), *VIOLATING_ON_VOLUMES.values())}
