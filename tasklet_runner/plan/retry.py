"""Whether a chunk that met a fault is tried again, and when."""

from dataclasses import dataclass

import msgspec

from tasklet_runner.plan.types import RetryPolicy
from tasklet_runner.wire.faults import Fault, FaultKind

POISON_DEATHS = 5
"""A chunk that was running in so many members when they died undrained is the likely cause, and fails as Poison."""

ELSEWHERE = frozenset({FaultKind.FENCED, FaultKind.REVOKED, FaultKind.IO_ERROR})
"""Faults of the member, not of the chunk: they end the member's handle, and the chunk goes elsewhere at no charge."""


@dataclass(frozen=True)
class RetryDecision:
    """`retry`: after so many milliseconds; otherwise the chunk has failed with `fault`."""

    retry: bool
    delay_milliseconds: int
    fault: Fault


def decide(fault: Fault, failures: int, deaths: int, policy: RetryPolicy, jitter: float) -> RetryDecision:
    """What becomes of a chunk after a fault.

    `failures`: the chunk's transient faults so far that spend `max_retries`, with this one if it does (the loss of a
    member does not). `deaths`: members that died undrained, or whose own disk failed, while they ran it. `jitter`: 0 <=
    x < 1, drawn by the caller.
    """
    if deaths >= POISON_DEATHS:
        return RetryDecision(False, 0, _poisoned(fault, deaths))
    if fault.kind in ELSEWHERE:
        return RetryDecision(True, 0, fault)
    if not fault.transient:
        return RetryDecision(False, 0, fault)
    if failures > policy.max_retries:
        return RetryDecision(False, 0, _exhausted(fault, policy.max_retries))
    return RetryDecision(True, backoff(failures, policy, jitter), fault)


def backoff(failures: int, policy: RetryPolicy, jitter: float) -> int:
    """Milliseconds to wait after the n-th failure: doubled each time up to the maximum, of which half is spread by
    `jitter`.

    No failure that counts: no wait. Source: "equal jitter" of exponential back-off, so that chunks that failed together
    do not return together.
    """
    if failures < 1:
        return 0
    doublings = min(failures - 1, 32)
    whole = min(policy.initial_backoff_milliseconds << doublings, policy.max_backoff_milliseconds)
    return whole - int(whole / 2 * jitter)


def _poisoned(fault: Fault, deaths: int) -> Fault:
    return Fault(
        kind=FaultKind.POISON,
        message=f"{deaths} members died while they ran this chunk; the last: {fault.message}",
        remedy="run this input alone with less memory or a smaller wallSeconds and look at the members' log",
        stderr=fault.stderr,
    )


def _exhausted(fault: Fault, max_retries: int) -> Fault:
    return msgspec.structs.replace(
        fault,
        message=f"{fault.message} (given up after {max_retries} retries)",
        remedy=fault.remedy or "raise spec.retry.maxRetries, or mend the connection between coordinator and members",
    )
