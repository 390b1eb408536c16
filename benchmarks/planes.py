"""What the benchmarks on a real control plane have in common: their arguments, and what stands around their tables."""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.conditions import conditions
from benchmarks.tables import written_to

Run = Callable[[list[str], bool], None]
"""Measures these parts; with the smallest numbers when the second argument is true."""


def measure(parser: argparse.ArgumentParser, part: str, names: Sequence[str], run: Run) -> None:
    """Measure the parts that the command's arguments choose by `--<part>`, or all, and print them."""
    parser.add_argument(f"--{part}", action="append", choices=names, help=f"only this {part}; may be given again")
    parser.add_argument("--smallest", action="store_true", help="tiny numbers, which only show that it runs")
    parser.add_argument("--write", type=Path, help="also write what is printed to this file")
    options = parser.parse_args()
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        sys.exit("set KUBEBUILDER_ASSETS to the folder of a control plane's binaries (`setup-envtest use -p path`)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # and end in good order what was started
    with contextlib.ExitStack() as stack:
        if options.write:
            stack.enter_context(written_to(options.write))
        run(getattr(options, part) or list(names), options.smallest)


@contextlib.contextmanager
def surrounded(note: str) -> Iterator[Path]:
    """A folder to measure in. The conditions and the note are printed before, time and load after it."""
    print("## Conditions\n")
    for name, value in conditions():
        print(f"- {name}: {value}")
    print(f"\n{note}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leasegrid-bench-") as folder:
        yield Path(folder)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"\nThe run took {time.monotonic() - began:.0f} s; load after it: {load}.")
