"""One process at a time: an exclusive lock for the life of the process that took it."""

import fcntl
import os
from pathlib import Path

from tasklet_runner.wire.errors import StateDirectoryError


class FileLock:
    """`flock` on a file, which holds the process id of the owner as text. `what`: what it guards, in words.

    The kernel drops the lock when its owner dies, however it dies; a lock file left behind locks nothing. A stopped
    process holds it: what it was about to write when it stopped, it writes when it goes on.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StateDirectoryError(
                f"{what} is in use by process {holder}",
                remedy="wait until that process ends, or end it; one process at a time may use it",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Let the next one in. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
