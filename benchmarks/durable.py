"""What durability costs: checkpoints, deltas and restoring, beside a plain write and fsync on the same disk.

A part of `make bench`. With --smallest a megabyte is kept twice: to see that everything works, not how fast.
"""

import argparse

from benchmarks.conditions import conditions
from benchmarks.keeping import checkpoints, steps

TABLES = (checkpoints.rows, steps.rows)
"""Each prints its tables; `smallest` is its one argument."""


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durable", description=__doc__)
    parser.add_argument("--smallest", action="store_true", help="a megabyte, twice")
    options = parser.parse_args()
    print("## Conditions\n")
    for name, value in conditions():
        print(f"- {name}: {value}")
    for rows in TABLES:
        rows(smallest=options.smallest)


if __name__ == "__main__":
    main()
