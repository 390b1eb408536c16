"""Places that a user named for files, judged before anything runs and not at the end of a long job."""

import os
from pathlib import Path

from tasklet_runner.wire.errors import ResultsError


def check_directory(directory: Path) -> None:
    """Make the results directory. Raises ResultsError when it cannot be made or written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"the results directory {directory} cannot be made: {error.strerror}", remedy="name another directory"
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ResultsError(f"the results directory {directory} cannot be written", remedy="check its rights")


def check_file(path: Path) -> None:
    """Raises ResultsError when a file of this name cannot be made."""
    directory = path.absolute().parent
    if path.is_dir() or not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        raise ResultsError(f"{path} cannot be written", remedy="name a file in a directory that is there")
