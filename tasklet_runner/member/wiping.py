"""Leaving nothing behind in a directory, and proving it."""

import os
from pathlib import Path

from tasklet_runner.sandbox.trees import empty_tree
from tasklet_runner.wire.errors import LeaseGridError


def wipe(directory: Path) -> int:
    """Empty the directory; the bytes that were there. Raises OSError, or LeaseGridError when something is left."""
    wiped = _used_bytes(directory)
    empty_tree(directory)
    if left := os.listdir(directory):
        raise LeaseGridError(f"{directory} still holds {len(left)} entries after the wipe", remedy="replace the member")
    return wiped


def _used_bytes(directory: Path) -> int:
    """Bytes on disk of all files below a directory, those of removed ones excluded."""
    total = 0
    for path, _, files, descriptor in os.fwalk(directory):
        del path
        total += sum(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks * 512 for name in files)
    return total
