"""What the death of a slot's process means for what it did. Pure: statuses are those of waitpid."""

import os
import signal

from tasklet_runner.wire.faults import Fault, FaultKind

TAINTING_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGSYS})
"""After one of these the process is not trusted with another lease."""

MAX_FAILED_LOADS = 3
"""A program under which so many processes of one slot died while they loaded it cannot run in this member."""


def taints(status: int) -> bool:
    """True when the process died in a way that may be an attack on the engine."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in TAINTING_SIGNALS


def death_of(slot: int, status: int) -> Fault:
    """The fault of the task that ran; transient, as another slot may live."""
    return Fault(
        kind=FaultKind.DISCONNECTED,
        message=f"slot {slot} {_how(status)} while the tasklet ran",
        remedy="it is tried again elsewhere; if it goes on, give members more memory (resources.memory)",
    )


def cannot_load(slot: int, status: int) -> Fault:
    """The fault of a program that no process of the slot survives; permanent, or it would be tried for ever."""
    return Fault(
        kind=FaultKind.UNSUPPORTED,
        message=f"slot {slot} {_how(status)} each of the {MAX_FAILED_LOADS} times that it loaded the program",
        remedy="give members more memory and address space (resources.memory, ulimit -v), or build a smaller module",
    )


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with {os.WEXITSTATUS(status)}"
