"""The rule of the election, by tables."""

import pytest

from leasegrid_operator.leading import (
    ADDRESS,
    Acquire,
    Decision,
    Follow,
    Lost,
    Observed,
    Record,
    Renew,
    decide,
    record_of,
)

NOW = 1000.0


def record(holder: str, address: str = "http://other:1") -> Record:
    return Record(holder=holder, address=address, transitions=3, version="7", stamp=(holder, "t"))


@pytest.mark.parametrize(
    ("observed", "decision"),
    [
        pytest.param(Observed(None, NOW), Acquire(), id="a record that is not there is taken"),
        pytest.param(Observed(record(""), NOW), Acquire(), id="a record that was given back is taken at once"),
        pytest.param(Observed(record("me"), NOW), Acquire(), id="our own record of an earlier life is taken"),
        pytest.param(Observed(record("other"), NOW - 14.9), Follow("http://other:1"), id="a fresh leader is followed"),
        pytest.param(
            Observed(record("other"), NOW - 15), Acquire(), id="a leader that was silent too long is replaced"
        ),
        pytest.param(
            Observed(record("other"), NOW - 2.5, refused=NOW - 1.5),
            Acquire(),
            id="a leader that missed a renewal, and where nobody listens any more, is replaced at once",
        ),
        pytest.param(
            Observed(record("other"), NOW - 2.4, refused=NOW - 9),
            Follow("http://other:1"),
            id="a leader that renews is followed though its address refuses",
        ),
        pytest.param(
            Observed(record("other"), NOW - 9, refused=NOW - 1.4),
            Follow("http://other:1"),
            id="a leader whose process may just be started again is followed",
        ),
        pytest.param(Observed(record("me"), NOW, NOW - 9.9), Renew(), id="a leader renews"),
        pytest.param(
            Observed(None, NOW, NOW - 1), Renew(), id="a leader whose record is gone goes on until it is sure"
        ),
        pytest.param(
            Observed(record("me"), NOW, NOW - 10),
            Lost("the record could not be renewed for 10 s"),
            id="a leader that could not renew ceases before others may take over",
        ),
        pytest.param(
            Observed(record("other"), NOW, NOW - 1),
            Lost("other has taken over"),
            id="a leader that was replaced ceases",
        ),
    ],
)
def test_in_the_election(observed: Observed, decision: Decision) -> None:
    assert decide(observed, "me", NOW) == decision


def test_a_record_is_read_from_the_object() -> None:
    spec = {"holderIdentity": "a", "leaseTransitions": 2, "renewTime": "t1"}
    body = {"metadata": {"resourceVersion": "5", "annotations": {ADDRESS: "http://a:1"}}, "spec": spec}

    assert record_of(body) == Record("a", "http://a:1", 2, "5", ("a", "t1"))


def test_a_record_that_nobody_holds_has_no_address() -> None:
    body = {"metadata": {"resourceVersion": "5", "annotations": {ADDRESS: "http://a:1"}}, "spec": {}}

    assert record_of(body) == Record("", "", 0, "5", ("", ""))
