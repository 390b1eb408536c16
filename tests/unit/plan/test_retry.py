"""What becomes of a chunk after a fault."""

import pytest

from tasklet_runner.plan.retry import POISON_DEATHS, RetryDecision, backoff, decide
from tasklet_runner.plan.types import RetryPolicy
from tasklet_runner.wire.faults import Fault, FaultKind

POLICY = RetryPolicy()


def fault(kind: FaultKind) -> Fault:
    return Fault(kind=kind, message="it broke", stderr="tail")


@pytest.mark.parametrize(
    ("kind", "failures", "deaths", "retry", "delay"),
    [
        pytest.param(FaultKind.DISCONNECTED, 1, 0, True, 1000, id="a first transient fault waits for the first pause"),
        pytest.param(FaultKind.LEASE_EXPIRED, 3, 0, True, 4000, id="the pause doubles"),
        pytest.param(FaultKind.DISCONNECTED, 4, 0, False, 0, id="transient faults end with maxRetries"),
        pytest.param(
            FaultKind.DISCONNECTED, 0, 1, True, 0, id="the loss of a member costs nothing and waits for nothing"
        ),
        pytest.param(FaultKind.FENCED, 99, 4, True, 0, id="a fenced member sends its chunks elsewhere at no charge"),
        pytest.param(FaultKind.REVOKED, 99, 0, True, 0, id="so does a revoked one"),
        pytest.param(FaultKind.IO_ERROR, 99, 0, True, 0, id="so does one whose own disk fails"),
        pytest.param(FaultKind.OUT_OF_FUEL, 0, 0, False, 0, id="a fault of the chunk itself fails at once"),
        pytest.param(FaultKind.DISCONNECTED, 0, 4, True, 0, id="four deaths may be chance"),
    ],
)
def test_a_chunk_after_a_fault(kind: FaultKind, failures: int, deaths: int, retry: bool, delay: int) -> None:
    decision = decide(fault(kind), failures, deaths, POLICY, jitter=0.0)

    assert (decision.retry, decision.delay_milliseconds, decision.fault.kind) == (retry, delay, kind)


@pytest.mark.parametrize("kind", [FaultKind.DISCONNECTED, FaultKind.FENCED, FaultKind.IO_ERROR])
def test_five_deaths_are_poison_whatever_was_seen_last(kind: FaultKind) -> None:
    decision = decide(fault(kind), 0, POISON_DEATHS, POLICY, jitter=0.5)

    assert not decision.retry
    assert decision.fault.kind is FaultKind.POISON
    assert "5 members died" in decision.fault.message
    assert decision.fault.stderr == "tail"
    assert decision.fault.remedy


def test_giving_up_says_how_often_and_how_to_allow_more() -> None:
    given_up = decide(fault(FaultKind.DISCONNECTED), 1, 0, RetryPolicy(max_retries=0), jitter=0.0).fault

    assert given_up.message == "it broke (given up after 0 retries)"
    assert "maxRetries" in given_up.remedy


def test_giving_up_keeps_a_remedy_that_is_there() -> None:
    known = Fault(kind=FaultKind.DISCONNECTED, message="gone", remedy="mend it")

    assert decide(known, 9, 0, POLICY, jitter=0.0) == RetryDecision(
        False, 0, Fault(kind=known.kind, message="gone (given up after 3 retries)", remedy="mend it")
    )


@pytest.mark.parametrize(
    ("failures", "jitter", "expected"),
    [
        pytest.param(0, 0.0, 0, id="nothing before the first"),
        pytest.param(1, 0.5, 750, id="half of the pause is spread by jitter"),
        pytest.param(5, 0.0, 16000, id="the maximum is reached"),
        pytest.param(10**6, 0.0, 16000, id="and never exceeded"),
    ],
)
def test_the_pause_after_failures(failures: int, jitter: float, expected: int) -> None:
    assert backoff(failures, POLICY, jitter) == expected
