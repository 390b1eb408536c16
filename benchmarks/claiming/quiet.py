"""When a control plane has done what it was asked for: pods made or ended by the hundred keep it busy for a while."""

import time
from collections.abc import Callable

from benchmarks.claiming.counters import Counts

LOOK_SECONDS = 1.0
CALM_SHARE = 0.12
"""Of one core, for operator, kube-apiserver and etcd together; with nothing to do they take half of it."""


def busy(spent: Counts) -> float:
    """CPU seconds of the three."""
    return spent.operator_cpu + spent.server_cpu + spent.store_cpu


def wait_until_calm(read: Callable[[], Counts], seconds: float) -> None:
    """Return when they are calm, or after so many seconds: what is measured then says so by its own figures."""
    deadline = time.monotonic() + seconds
    before = read()
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        now = read()
        if busy(now.since(before)) <= CALM_SHARE * LOOK_SECONDS:
            return
        before = now


def idle_cost(read: Callable[[], Counts], seconds: float) -> str:
    """What each takes while nobody asks for anything, in words."""
    before = read()
    time.sleep(seconds)
    spent = read().since(before)
    shares = [("operator", spent.operator_cpu), ("kube-apiserver", spent.server_cpu), ("etcd", spent.store_cpu)]
    return ", ".join(f"{1000 * cpu / seconds:.0f} ms/s {name}" for name, cpu in shares)
