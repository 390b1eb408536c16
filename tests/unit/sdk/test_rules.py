"""When a checkpoint is due, how often it is tried, and what a failure means."""

import pytest

from leasegrid.sdk.errors import StoreLostError
from leasegrid.sdk.rules import Failure, Retries, Schedule, judge
from tasklet_runner.wire.errors import (
    CheckpointDamagedError,
    CheckpointVersionError,
    LeaseGridError,
    RefusedError,
    StateDirectoryError,
    StoreError,
    StoreFencedError,
    UnreachableError,
)


@pytest.mark.parametrize(
    ("schedule", "steps", "seconds", "due"),
    [
        pytest.param(Schedule(), 10**9, 1e9, False, id="by hand only, never by itself"),
        pytest.param(Schedule(every_steps=3), 2, 1e9, False, id="two steps of three"),
        pytest.param(Schedule(every_steps=3), 3, 0.0, True, id="three steps of three"),
        pytest.param(Schedule(every_seconds=5), 10**9, 4.9, False, id="not yet five seconds"),
        pytest.param(Schedule(every_seconds=5), 1, 5.0, True, id="five seconds"),
        pytest.param(Schedule(3, 5), 1, 6.0, True, id="whichever comes first"),
    ],
)
def test_a_checkpoint_is_due(schedule: Schedule, steps: int, seconds: float, due: bool) -> None:
    assert schedule.is_due(steps, seconds) is due


def test_waits_double_up_to_a_bound_and_end() -> None:
    retries = Retries(count=4, initial_seconds=0.5, max_seconds=2)
    assert [retries.wait_seconds(failures) for failures in range(1, 6)] == [0.5, 1, 2, 2, None]
    assert Retries(count=0).wait_seconds(1) is None


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (UnreachableError("gone"), Failure.PASSING),
        (StoreError("the disk is full"), Failure.PASSING),
        (RefusedError("NotReady", "about to go"), Failure.PASSING),
        (RefusedError("DigestMismatch", "other bytes"), Failure.PASSING),
        (RefusedError("LeaseExpired", "the lease has ended"), Failure.LOST),
        (RefusedError("Unauthenticated", "no such lease"), Failure.LOST),
        (RefusedError("Fenced", "another incarnation"), Failure.LOST),
        (StoreFencedError("a later epoch"), Failure.FINAL),
        (CheckpointDamagedError("both bad"), Failure.FINAL),
        (CheckpointVersionError("version 2"), Failure.FINAL),
        (StateDirectoryError("in use by process 7"), Failure.FINAL),
        (RefusedError("TooLarge", "too large"), Failure.FINAL),
        (StoreLostError("lost"), Failure.PASSING),
    ],
    ids=str,
)
def test_a_failure_is_judged(error: LeaseGridError, failure: Failure) -> None:
    assert judge(error) is failure
