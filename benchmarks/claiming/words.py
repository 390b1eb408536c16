"""Figures in the words of the table."""

from benchmarks.claiming.counters import Counts
from benchmarks.claiming.outcomes import Outcome, median, percentile


def spread(outcome: Outcome) -> str:
    """The middle and the end of the latencies, and the claims that failed."""
    latencies = outcome.latencies
    words = f"p50 {milliseconds(median(latencies))}, p99 {milliseconds(percentile(latencies, 99))}"
    return f"{words}{failed(outcome)}"


def failed(outcome: Outcome) -> str:
    """How many of a load's claims failed, and why the first one did."""
    if not outcome.failures:
        return ""
    return f", {len(outcome.failures)} failed ({outcome.failures[0][:80]})"


def milliseconds(value: float) -> str:
    """With as many digits as are worth it."""
    return f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"


def cost(spent: Counts, claims: int) -> str:
    """What one claim cost."""
    each = max(claims, 1)
    return (
        f"{spent.operator_cpu / each * 1000:.1f} ms operator, {spent.server_cpu / each * 1000:.1f} ms kube-apiserver, "
        f"{spent.store_cpu / each * 1000:.1f} ms etcd"
    )


def writes(spent: Counts, claims: int) -> str:
    """What one claim wrote."""
    each = max(claims, 1)
    return f"{spent.lease_writes / each:.2f} of leases, {spent.writes / each:.2f} in all; {spent.puts / each:.1f} puts"
