"""Rows about how fast claims are served, and what they cost."""

import time

from benchmarks.claiming.outcomes import Outcome, median, percentile
from benchmarks.claiming.rig import Rig
from benchmarks.claiming.sizes import Sizes
from benchmarks.claiming.words import cost, failed, milliseconds, spread, writes
from benchmarks.tables import Row, Table

HIGHEST_P99_MILLISECONDS = 250.0


def serial(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Claims one after another, at growing pools."""
    first, costs = 0.0, []
    for size in sizes.serial_pools:
        rig.pool(size)
        rig.load("rounds", count=max(1, sizes.serial // 10), width=1)
        outcome, spent = rig.measured("rounds", count=sizes.serial, width=1)
        middle = median(outcome.latencies)
        first = first or middle
        costs.append(spent.operator_cpu / max(1, len(outcome.claims)) * 1000)
        limit = f"{middle / median(rig.bare.latencies):.1f} of {milliseconds(median(rig.bare.latencies))} bare"
        growth = "" if size == sizes.serial_pools[0] else f"; {middle / first:.2f} of that at {sizes.serial_pools[0]}"
        words = f"serial claims, pool of {size:,}"
        wanted = "p50 12 ms" if middle == first else "at most 1.2 times that at 10"
        table.add(Row(words, spread(outcome) + growth, "p50 25-31 ms", limit, wanted))
    told = ", ".join(f"{value:.1f} ms at {size:,}" for value, size in zip(costs, sizes.serial_pools, strict=True))
    table.add(Row("operator CPU per serial claim", told, "35 -> 260 ms", "", "independent of the pool's size"))


def together(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Some claims made at the same instant."""
    rig.pool(sizes.pool)
    for width, peer, wanted in ((5, "", ""), (20, "p50 278 ms", "p50 60 ms")):
        outcome = rig.load("rounds", count=sizes.rounds, width=min(width, sizes.pool))
        table.add(Row(f"{width} at once, pool of {sizes.pool}", spread(outcome), peer, "", wanted))


def sustained(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Poisson arrivals; each claim is held for a second, then deleted."""
    rig.pool(sizes.pool)
    rig.load("open_loop", rate=10, seconds=min(2.0, sizes.sustained_seconds), hold=0.1)
    rate = 45.0 if sizes.pool > 45 else 2.0
    outcome, spent = rig.measured("open_loop", rate=rate, seconds=sizes.sustained_seconds, hold=1.0)
    claims = len(outcome.claims)
    what = f"{rate:.0f}/s for {sizes.sustained_seconds:.0f} s (Poisson, {claims:,} claims)"
    peer = "fails at 45/s; at 15/s p99 1,288 ms"
    table.add(Row(what, spread(outcome) + _none_failed(outcome), peer, "", "p50 15 ms, p99 60 ms, none failed"))
    table.add(Row("CPU per claim there", cost(spent, claims), "85-150 ms kube-apiserver", "", ""))
    table.add(Row("writes per claim there", writes(spent, claims), "16-18", "", "2 of leases"))
    _broker_writes(rig, table, sizes)


def _none_failed(outcome: Outcome) -> str:
    members = len({claim.member for claim in outcome.claims})
    return f"{'' if outcome.failures else ', none failed'}; {members} members used"


def _broker_writes(rig: Rig, table: Table, sizes: Sizes) -> None:
    outcome, spent = rig.measured("broker", count=1, times=sizes.serial)
    limit = f"{median(outcome.latencies) / median(rig.bare.latencies):.1f} of the bare figure"
    table.add(Row("serial claims through the broker", spread(outcome), "", limit, ""))
    words = f"{writes(spent, len(outcome.claims))}; a delete follows after 300 s"
    table.add(Row("writes per claim there", words, "", "", "4 of leases"))


def highest(rig: Rig, table: Table, sizes: Sizes) -> None:
    """The highest rate at which the 99th percentile stays below a quarter of a second."""
    rig.pool(sizes.pool)
    best, first_over = "none", ""
    for rate in sizes.search_rates:
        outcome = rig.load("open_loop", rate=rate, seconds=sizes.search_seconds, hold=1.0)
        words = f"{rate:.0f}/s ({spread(outcome)})"
        if outcome.failures or percentile(outcome.latencies, 99) >= HIGHEST_P99_MILLISECONDS:
            first_over = f"; over it at {words}"
            break
        best = words
        time.sleep(1.0)
    limit = f"{rig.bare.other['per_second']:.0f} claims/s bare"
    table.add(Row("highest rate with p99 < 250 ms", best + first_over, "5-10/s", limit, "60/s, aim 100/s"))


def bursts(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Many objects at once, and many members in one lease, by both doors."""
    rig.pool(max(sizes.large_burst, sizes.burst))
    for count, peer, wanted in ((sizes.burst, "0.8-1.4 s", "400 ms"), (sizes.large_burst, "9.2 s", "2 s")):
        outcome = rig.load("burst", count=count)
        rig.settle(max(sizes.large_burst, sizes.burst))
        words = f"all usable in {milliseconds(max(outcome.latencies, default=0.0))}{failed(outcome)}"
        bare = count / rig.bare.other["per_second"] * 1000
        limit = f"{milliseconds(bare)} at the bare API server's rate"
        table.add(Row(f"burst of {count} objects", words, peer, limit, wanted))
    for count, wanted in ((sizes.burst, "100 ms"), (sizes.large_burst, "400 ms")):
        for door, load in (("object door", "gang"), ("broker", "broker")):
            outcome, spent = rig.measured(load, count=count, times=5)
            rig.settle(max(sizes.large_burst, sizes.burst))
            words = f"p50 {milliseconds(median(outcome.latencies))}, "
            words += f"worst of 5 {milliseconds(max(outcome.latencies, default=0.0))}{failed(outcome)}"
            limit = f"{spent.lease_writes / max(1, len(outcome.claims)):.1f} writes in all"
            table.add(Row(f"{count} in one lease, {door}", words, "", limit, wanted))


def single_use(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Reset beside Replace: members that are made anew for each claim."""
    rig.pool(sizes.pool)
    rate = 10.0 if sizes.pool > 45 else 1.0
    for reuse, name in (("Reset", "cpu"), ("Replace", "single")):
        rig.pool(sizes.pool, reuse=reuse, name=name)
        outcome, spent = rig.measured(
            "open_loop", rate=rate, seconds=min(10.0, sizes.sustained_seconds), hold=1.0, pool=name
        )
        claims = len(outcome.claims)
        words = f"{spread(outcome)}; {writes(spent, claims)}; {cost(spent, claims)}"
        table.add(Row(f"reuse: {reuse}, {rate:.0f}/s", words, "p99 1,288 ms at 15/s", "", ""))
    rig.pool(0, reuse="Replace", name="single")
