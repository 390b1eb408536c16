"""`python -m tests.soak [--short] [--seed N] [--only TEXT]`: every campaign, one after the other, counted.

Prints a line per campaign as it ends, then the table of docs/reliability.md. Exit status 1 when anything was lost,
double or wrong, or when a campaign could not do what it should.
"""

import argparse
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.campaigns import Run, campaigns, long, short
from tests.soak.tally import Tally, markdown


def main() -> int:
    """Run what the arguments name."""
    given = _arguments()
    # What is skipped or refused is what the campaigns want to see; it is judged, not read.
    logging.disable(logging.CRITICAL)
    scale = (short if given.short else long)(given.seed)
    tallies = [_run(name, run) for name, run in campaigns(scale) if given.only in name]
    sys.stdout.write(f"\nseed {given.seed}\n\n{markdown(tallies)}\n")
    return 0 if tallies and all(tally.clean for tally in tallies) else 1


def _run(name: str, run: Run) -> Tally:
    tally = Tally(name)
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    began = time.monotonic()
    try:
        run(root, tally)
    except AssertionError as error:
        # A rig that cannot go on; the other campaigns can.
        tally.wrongs += 1
        tally.words.append(f"it did not get to its end: {error}")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    tally.seconds = time.monotonic() - began
    sys.stdout.write(f"{tally} ({tally.seconds:.0f} s)\n")
    sys.stdout.flush()
    return tally


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a sample of each campaign: some minutes")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn at random (default 1)")
    parser.add_argument("--only", default="", help="the campaigns with this text in their names")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
