"""Claims on a real control plane, beside the bare API server and the best peer (`make bench-claims`).

`--row NAME` runs single rows, `--smallest` all with tiny numbers, `--write FILE` also writes what is printed to a file.
Needs the folder of a control plane's binaries in KUBEBUILDER_ASSETS.
"""

import argparse
from collections.abc import Callable

from benchmarks.claiming import ends, real, speed
from benchmarks.claiming.outcomes import median
from benchmarks.claiming.quiet import idle_cost
from benchmarks.claiming.rig import Rig, rig
from benchmarks.claiming.sizes import SMALLEST, Sizes
from benchmarks.claiming.words import milliseconds
from benchmarks.planes import measure, surrounded
from benchmarks.tables import Row, Table

COLUMNS = ("what", "LeaseGrid", "agent-sandbox", "limit or more", "to reach")
NOTE = """\
Everything shares the cores: etcd, kube-apiserver, kube-controller-manager, one operator, the load generator, and all
members (stand-ins with the member's own protocol, state machine and signatures, in one process). A claim is a Lease
that is made by POST; its time ends when a watch shows capabilities. Figures of agent-sandbox were measured beforehand,
on a machine of the same kind under the same load; they are not of this run. `bare`: the same program makes the object
and writes its status itself, with no operator, in this run."""

ROWS: dict[str, Callable[[Rig, Table, Sizes], None]] = {
    "sustained": speed.sustained,
    "highest": speed.highest,
    "together": speed.together,
    "bursts": speed.bursts,
    "single_use": speed.single_use,
    "expiry": ends.expiry,
    "killed": ends.killed,
    "real": real.real,
    "serial": speed.serial,
    "many": ends.many,
}
"""In this order: the pool grows, and what is noisy comes late."""


def main() -> None:
    """Measure what is asked for and print it."""
    measure(argparse.ArgumentParser(prog="benchmarks.claims", description=__doc__), "row", list(ROWS), run)


def run(rows: list[str], smallest: bool) -> None:
    """Measure these rows and print them."""
    sizes = SMALLEST if smallest else Sizes()
    with surrounded(NOTE) as folder, rig(folder, sizes.calm_seconds) as made:
        table = Table("Claims on Kubernetes", COLUMNS)
        made.pool(sizes.pool)
        bare = f"p50 {milliseconds(median(made.bare.latencies))}, {made.bare.other['per_second']:.0f} claims/s"
        table.add(Row("bare: create, status, watch (rate: and delete, 16 at once)", "", "", bare))
        idle = idle_cost(made.sources.read, sizes.idle_seconds)
        table.add(
            Row(f"CPU while nothing is asked, pool of {sizes.pool}", idle, "", "part of all figures of CPU below")
        )
        for row in rows:
            ROWS[row](made, table, sizes)


if __name__ == "__main__":
    main()
