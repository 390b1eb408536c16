"""What the death of a slot's process is taken for."""

import signal

import pytest

from tasklet_runner.member import verdicts
from tasklet_runner.wire.faults import FaultKind

EXITED_WITH_3 = 3 << 8


@pytest.mark.parametrize(
    ("status", "tainted"),
    [
        pytest.param(signal.SIGSEGV, True, id="a segmentation fault taints the process"),
        pytest.param(signal.SIGSYS, True, id="a forbidden system call taints the process"),
        pytest.param(signal.SIGKILL, False, id="a kill from outside does not"),
        pytest.param(EXITED_WITH_3, False, id="an exit does not"),
    ],
)
def test_what_taints(status: int, tainted: bool) -> None:
    assert verdicts.taints(status) is tainted


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(signal.SIGKILL, "was killed by SIGKILL", id="a signal is named"),
        pytest.param(EXITED_WITH_3, "ended with 3", id="an exit status is named"),
    ],
)
def test_a_death_is_transient_and_says_how(status: int, words: str) -> None:
    fault = verdicts.death_of(1, status)
    assert (fault.kind, fault.transient) == (FaultKind.DISCONNECTED, True)
    assert f"slot 1 {words}" in fault.message


def test_a_program_that_no_process_survives_is_unsupported() -> None:
    fault = verdicts.cannot_load(0, signal.SIGABRT)
    assert (fault.kind, fault.transient) == (FaultKind.UNSUPPORTED, False)
    assert "SIGABRT" in fault.message
    assert fault.remedy
