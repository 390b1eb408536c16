"""Faults and errors say what happened in one word, and what to do in a sentence."""

import pytest

from tasklet_runner.wire.errors import FaultError, LeaseGridError, PoolEmptyError, RefusedError
from tasklet_runner.wire.faults import Fault, FaultKind


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
