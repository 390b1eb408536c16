"""Leaving nothing behind in a directory, and proving it."""

import os
from pathlib import Path

from tasklet_runner.sandbox.trees import empty_tree
from tasklet_runner.wire.errors import LeaseGridError


def wipe(directory: Path) -> int:
    """Empty the directory; the bytes on disk that its files took. Raises OSError, or LeaseGridError when something is
    left.
    """
    wiped = empty_tree(directory)
    if left := os.listdir(directory):
        raise LeaseGridError(f"{directory} still holds {len(left)} entries after the wipe", remedy="replace the member")
    return wiped
