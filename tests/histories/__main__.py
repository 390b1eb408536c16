"""`python -m tests.histories SEED [SEED …] [--times N]`: play schedules again, and say what the checker found.

`python -m tests.histories --judge FILE` judges a history that was kept.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.histories.campaign import Campaign
from tests.histories.checker import judge
from tests.histories.history import load
from tests.soak.tally import Tally


def main() -> int:
    """The exit status is 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--times", type=int, default=1, help="play each so often (default 1)")
    parser.add_argument("--judge", type=Path, help="a history")
    given = parser.parse_args()
    if given.judge is not None:
        found = judge(load(given.judge))
        sys.stdout.write("".join(f"{violation}\n" for violation in found))
        return 1 if found else 0
    tally = Tally("fencing")
    with tempfile.TemporaryDirectory(prefix="fencing-") as root:
        counted = Campaign(Path(root), tally).run(given.seeds * given.times)
    sys.stdout.write(f"{tally}\n{counted}\n")
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
