"""Jobs and graphs on a real control plane with real members, beside the ideal and what pods take (`make bench-jobs`).

`--part NAME` runs single parts, `--smallest` all with tiny numbers, `--write FILE` also writes what is printed to a
file. Needs the folder of a control plane's binaries in KUBEBUILDER_ASSETS.
"""

import argparse
from collections.abc import Callable

from benchmarks.jobbing import ends, rows
from benchmarks.jobbing.rig import Bench, bench
from benchmarks.jobbing.sizes import SMALLEST, Sizes
from benchmarks.planes import measure, surrounded
from benchmarks.tables import Table

COLUMNS = ("what", "LeaseGrid", "ideal, or beside it", "elsewhere", "to reach")
NOTE = """\
Everything shares the cores: etcd, kube-apiserver, kube-controller-manager, one operator, all members with their
sandboxes and coordinators (processes of the runner, started by a process kubelet), and the program that makes the
jobs. A time begins with the POST of the object and ends when a watch shows the condition. `elsewhere`: the same work
with a pod for each chunk or step, measured beforehand on a machine of the same kind; not of this run."""

PARTS: dict[str, Callable[[Bench, Table], None]] = {
    "first": rows.first,
    "chain": rows.chain,
    "chunks": rows.chunks,
    "sleeps": rows.sleeps,
    "operator": rows.operator,
    "left": ends.left,
    "together": rows.together,
}


def main() -> None:
    """Measure what is asked for and print it."""
    measure(argparse.ArgumentParser(prog="benchmarks.jobs", description=__doc__), "part", list(PARTS), run)


def run(parts: list[str], smallest: bool) -> None:
    """Measure these parts and print them."""
    with surrounded(NOTE) as folder, bench(folder, SMALLEST if smallest else Sizes()) as made:
        table = Table("Jobs on Kubernetes", COLUMNS)
        for part in parts:
            PARTS[part](made, table)


if __name__ == "__main__":
    main()
