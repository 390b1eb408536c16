"""Rows about the end of leases, about many of them, and about operators that are killed."""

import time
from typing import Any

from benchmarks.claiming.counters import memory_bytes
from benchmarks.claiming.outcomes import median, percentile
from benchmarks.claiming.rig import NAMESPACE, Rig
from benchmarks.claiming.sizes import Sizes
from benchmarks.claiming.words import failed, milliseconds
from benchmarks.tables import Row, Table
from tasklet_runner.member.decisions import End
from tests.integration.control_plane import free_ports
from tests.support.cluster.plane import until
from tests.support.cluster.records import violations

TTL_SECONDS = 5
LEADING_SECONDS = 60.0


def expiry(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Leases that nobody gives back: how late their members, and their objects, keep the deadline."""
    rig.pool(sizes.pool)
    rate = 45.0 if sizes.pool > 45 else 4.0
    outcome = rig.load("expiring", rate=rate, seconds=sizes.expiry_seconds, ttl=TTL_SECONDS)
    records = rig.stand_ins.records()
    at_member = [1000 * one.late for one in records if one.event == "ended" and one.reason == End.LEASE_EXPIRED]
    rig.settle(sizes.pool)
    what = f"{len(outcome.late)} leases of {TTL_SECONDS} s expire, {rate:.0f}/s"
    told = f"p50 {milliseconds(median(at_member))}, p99 {milliseconds(percentile(at_member, 99))} late"
    table.add(Row(f"{what}: at the member", told, "", f"{len(at_member)} records", "p99 100 ms"))
    told = f"p50 {milliseconds(median(outcome.late))}, p99 {milliseconds(percentile(outcome.late, 99))} late"
    table.add(Row("the same: in the object", told + failed(outcome), "", "", "p99 500 ms"))


def many(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Thousands of leases bound and queued: memory, and the time until nothing is left of them."""
    seconds = rig.pool(sizes.bound)
    table.add(Row(f"pool of {sizes.bound:,} warm", f"{seconds:.1f} s", "", "", ""))
    outcome = rig.load("fill", bound=sizes.bound, queued=sizes.queued)
    resident, proportional = memory_bytes(rig.operator.pid)
    what = f"{sizes.bound:,} bound, {sizes.queued:,} queued"
    told = f"{outcome.seconds:.1f} s until bound, {outcome.other['made_seconds']:.1f} s until all are made"
    table.add(Row(f"{what}: made", told, "", "", ""))
    told = f"{resident / 1e6:.0f} MB resident, {proportional / 1e6:.0f} MB proportional"
    table.add(Row("operator memory there", told, "", "", "350 MB"))
    began = time.monotonic()
    cleared = rig.load("clear")
    rig.settle(sizes.bound)
    answered = f"{cleared.other['answered_seconds']:.1f} s of it the API server's own deleting"
    table.add(Row("from there to zero", f"{time.monotonic() - began:.1f} s", "", answered, ""))
    table.add(Row("left over", _left_over(rig), "", "", "0"))


def _left_over(rig: Rig) -> str:
    leases: Any = rig.plane.api.ask("GET", f"/apis/leasegrid.dev/v1alpha1/namespaces/{NAMESPACE}/leases").body["items"]
    twice = violations(rig.stand_ins.records())
    return f"{len(leases)} leases, 0 members under lease, {len(twice)} members bound twice"


def killed(rig: Rig, table: Table, sizes: Sizes) -> None:
    """The operator is killed: with a follower standing by, and alone but started again."""
    rig.pool(sizes.killed)
    what = f"{sizes.killed} members, operator killed"
    follower = rig.start("operator-b", _two_ports())
    until(lambda: "all objects that were there are known" in follower.said(), "the follower stands by")
    leader = rig.operator
    leader.kill()
    began = time.monotonic()
    outcome = rig.load("until_served")
    table.add(
        Row(
            f"{what}: a follower takes over",
            f"{time.monotonic() - began:.1f} s until a claim is served{failed(outcome)}",
            "",
            "",
            "5 s",
        )
    )
    rig.operator = follower
    follower.kill()
    began = time.monotonic()
    rig.operator = rig.start("operator-b", rig.ports)
    outcome = rig.load("until_served")
    seconds = time.monotonic() - began
    table.add(Row(f"{what}: started again", f"{seconds:.1f} s until a claim is served{failed(outcome)}", "", "", "5 s"))
    rig.settle(sizes.killed)


def _two_ports() -> tuple[int, int]:
    first, second = free_ports(2)
    return first, second
