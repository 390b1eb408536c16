"""Stores beside a plain copy, and graphs on one machine: a shuffle beside Dask's, a chain of tiny tasks.

A part of `make bench`.

With --smallest a few megabytes are shuffled once: to see that everything works, not how fast.
"""

import argparse

from benchmarks.conditions import conditions
from benchmarks.graphs.rows import graphs
from benchmarks.storing.rows import rows


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shuffle", description=__doc__)
    parser.add_argument("--smallest", action="store_true", help="a few megabytes, once")
    options = parser.parse_args()
    print("## Conditions\n")
    for name, value in conditions():
        print(f"- {name}: {value}")
    rows(smallest=options.smallest)
    graphs(smallest=options.smallest)


if __name__ == "__main__":
    main()
