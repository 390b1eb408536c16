"""Faults and errors say what happened in one word, and what to do in a sentence."""

import msgspec
import pytest

from tasklet_runner.wire.errors import FaultError, LeaseGridError, PoolEmptyError, RefusedError, WrongKeyError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.member import Counters


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(Fault(kind=FaultKind.EXIT_CODE, message="", exit_code=3), "ExitCode(3)", id="an exit code"),
        pytest.param(
            Fault(kind=FaultKind.TRAPPED, message="", trap="UNREACHABLE"), "Trapped(UNREACHABLE)", id="a trap"
        ),
        pytest.param(Fault(kind=FaultKind.OUT_OF_FUEL, message=""), "OutOfFuel", id="any other kind"),
    ],
)
def test_a_fault_is_one_word(fault: Fault, reason: str) -> None:
    assert fault.reason == reason


@pytest.mark.parametrize("kind", list(FaultKind))
def test_only_lost_connections_and_leases_are_transient(kind: FaultKind) -> None:
    expected = kind in {FaultKind.DISCONNECTED, FaultKind.LEASE_EXPIRED}

    assert Fault(kind=kind, message="").transient is expected


def test_an_error_shows_its_remedy_when_there_is_one() -> None:
    assert str(LeaseGridError("it broke")) == "it broke"
    assert str(LeaseGridError("it broke", remedy="mend it")) == "it broke (mend it)"


def test_a_fault_is_carried_whole_by_its_error() -> None:
    fault = Fault(kind=FaultKind.TIMED_OUT, message="too slow", remedy="raise wallSeconds")

    assert FaultError(fault).fault is fault
    assert str(FaultError(fault)) == "too slow (raise wallSeconds)"


def test_a_refusal_has_its_reason() -> None:
    assert RefusedError("Conflict", "claimed already").reason == "Conflict"


def test_an_empty_pool_is_a_capacity_that_is_exceeded_for_now() -> None:
    assert PoolEmptyError("empty").code == "PoolEmpty"


@pytest.mark.parametrize(
    ("expected", "words"),
    [("b" * 8, "not by bbbbbbbb"), ("", "not its incarnation")],
    ids=["a known key", "a first call"],
)
def test_another_key_at_an_address_is_told_with_both_keys(expected: str, words: str) -> None:
    error = WrongKeyError("https://10.0.0.1:8080", "aaaa", expected)

    assert "https://10.0.0.1:8080" in str(error)
    assert "aaaa" in str(error)
    assert words in str(error)


def test_counters_of_two_leases_add_up() -> None:
    one = Counters(**{name: number for number, name in enumerate(Counters.__struct_fields__, 1)})

    assert list(msgspec.structs.asdict(one.plus(one)).values()) == list(range(2, 19, 2))
