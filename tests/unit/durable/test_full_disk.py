"""A real file system of a few megabytes that is full in the middle of a checkpoint."""

from pathlib import Path

import pytest

from tests.support.small_disk import run_on_small_disk

_FULL = """
import pathlib, shutil, sys
from tasklet_runner.durable.deltas import changed_runs, encode
from tasklet_runner.durable.slots import Draft, Slots

def kept():
    with Slots(directory, "key").open() as reading:
        return reading.generation, b"".join(reading.pieces())

def refused(work):
    try:
        work()
    except OSError:
        return True
    return False

directory = pathlib.Path(sys.argv[1])
slots, good = Slots(directory, "key"), b"good" * 250_000
for generation in (1, 2, 3):
    slots.write(Draft(generation, 1, len(good)), good)
# Into the older slot, whose bytes are lost to it, and into nothing: a first checkpoint.
assert refused(lambda: slots.write(Draft(4, 1, 6_000_000), bytes(6_000_000)))
assert refused(lambda: Slots(directory, "other").write(Draft(1, 1, 6_000_000), bytes(6_000_000)))
assert Slots(directory, "other").newest is None
assert kept() == (3, good)
# The log of deltas has no room either.
filler = (directory / "filler").open("wb", buffering=0)
assert refused(lambda: [filler.write(bytes(4096)) for _ in range(4096)])
changed = good[:-400_000] + b"evil" * 100_000
if shutil.disk_usage(directory).free == 0:  # it is not where a limit of the process stands for a small disk
    assert refused(lambda: slots.append(Draft(4, 1, len(changed)), 3, encode(changed_runs(good, changed), changed)))
assert kept() == (3, good)
(directory / "filler").unlink()
filler.close()
slots.append(Draft(4, 1, len(changed)), 3, encode(changed_runs(good, changed), changed))
assert kept() == (4, changed)
slots.write(Draft(5, 1, len(good)), good)
assert kept() == (5, good)
print("kept")
"""


@pytest.mark.unhappy("the disk is full in mid-checkpoint")
def test_a_full_disk_costs_the_checkpoint_that_did_not_fit_and_no_other(tmp_path: Path) -> None:
    assert run_on_small_disk(_FULL, tmp_path / "small", megabytes=5) == "kept\n"
