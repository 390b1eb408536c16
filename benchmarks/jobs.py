"""Jobs and graphs on a real control plane with real members, beside the ideal and what pods take (`make bench-jobs`).

`--part NAME` runs single parts, `--smallest` all with tiny numbers, `--write FILE` also writes what is printed to a
file. Needs the folder of a control plane's binaries in KUBEBUILDER_ASSETS.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.conditions import conditions
from benchmarks.jobbing import ends, rows
from benchmarks.jobbing.rig import Bench, bench
from benchmarks.jobbing.sizes import SMALLEST, Sizes
from benchmarks.tables import Table, written_to

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
    options = _parser().parse_args()
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        sys.exit("set KUBEBUILDER_ASSETS to the folder of a control plane's binaries (`setup-envtest use -p path`)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # and end in good order what was started
    with contextlib.ExitStack() as stack:
        if options.write:
            stack.enter_context(written_to(options.write))
        run(options.part or list(PARTS), SMALLEST if options.smallest else Sizes())


def run(parts: list[str], sizes: Sizes) -> None:
    """Measure these parts and print them."""
    print("## Conditions\n")
    for name, value in conditions():
        print(f"- {name}: {value}")
    print(f"\n{NOTE}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leasegrid-bench-") as folder, bench(Path(folder), sizes) as made:
        table = Table("Jobs on Kubernetes", COLUMNS)
        for part in parts:
            PARTS[part](made, table)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"\nThe run took {time.monotonic() - began:.0f} s; load after it: {load}.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.jobs", description=__doc__)
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this part; may be given again")
    parser.add_argument("--smallest", action="store_true", help="tiny numbers, which only show that it runs")
    parser.add_argument("--write", type=Path, help="also write what is printed to this file")
    return parser


if __name__ == "__main__":
    main()
