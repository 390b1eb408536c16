"""Failures in a row."""

from leasegrid.rules.pool_state import NO_FAILURES
from leasegrid.rules.reasons import WarmupFailure
from leasegrid.rules.refill import note_failure, pause_left


def test_each_failure_is_noted_once_and_doubles_the_pause() -> None:
    history, pauses = NO_FAILURES, []
    for _ in range(11):
        history = note_failure(history, WarmupFailure.CRASH, "exit status 1", now=50.0)
        pauses.append(pause_left(history, now=50.0))

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert (history.count, history.reason, history.message) == (11, WarmupFailure.CRASH, "exit status 1")


def test_without_failures_there_is_no_pause() -> None:
    assert pause_left(NO_FAILURES, now=0.0) == 0
