"""`python -m tests.soak [--short] [--seed N] [--only TEXT]`: every campaign, one after the other, counted.

Prints a line per campaign as it ends, then the table of docs/reliability.md. Exit status 1 when anything was lost,
double or wrong, or when a campaign could not do what it should.
"""

import argparse
import itertools
import logging
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.soak.campaigns import Run, Scale, campaigns, long, short
from tests.soak.fuzzing import is_fuzzing
from tests.soak.tally import Tally, markdown


def main() -> int:
    """Run what the arguments name."""
    given = _arguments()
    # What is skipped or refused is what the campaigns want to see; it is judged, not read.
    logging.disable(logging.CRITICAL)
    scale = (short if given.short else long)(given.seed)
    tallies = list(_tallies(scale, given.only))
    sys.stdout.write(f"\nseed {given.seed}\n\n{markdown(tallies)}\n")
    return 0 if tallies and all(tally.clean for tally in tallies) else 1


def _tallies(scale: Scale, only: str) -> Iterator[Tally]:
    """Decoders need a core each and nothing else, so they are fuzzed side by side; all others run alone."""
    wanted = [name for name, _ in campaigns(scale) if only in name]
    for side_by_side, names in itertools.groupby(wanted, is_fuzzing):
        if side_by_side:
            with multiprocessing.get_context("fork").Pool() as pool:
                yield from map(_told, pool.imap(partial(_run_named, scale), names, chunksize=1))
        else:
            yield from (_told(_run_named(scale, name)) for name in names)


def _told(tally: Tally) -> Tally:
    sys.stdout.write(f"{tally} ({tally.seconds:.0f} s)\n")
    sys.stdout.flush()
    return tally


def _run_named(scale: Scale, name: str) -> Tally:
    return _run(name, dict(campaigns(scale))[name])


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
    return tally


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a sample of each campaign: some minutes")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn at random (default 1)")
    parser.add_argument("--only", default="", help="the campaigns with this text in their names")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
