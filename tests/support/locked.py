"""A directory whose content nobody can delete, until the block ends."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def undeletable(directory: Path) -> Iterator[None]:
    """Make the directory with a file in it that cannot be deleted; skips the test where that cannot be had.

    Modes do not stop root, so there it is the file system's immutable flag.
    """
    directory.mkdir()
    (directory / "file").write_bytes(b"x")
    if os.geteuid() != 0:
        directory.chmod(0o500)
        yield
        directory.chmod(0o700)
        return
    if subprocess.run(["chattr", "+i", str(directory)], capture_output=True, check=False).returncode != 0:
        pytest.skip("root can delete everything on this file system: it has no immutable flag")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(directory)], check=True)
