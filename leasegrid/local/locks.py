"""Exclusive locks of this machine: `flock` on a file that holds its owner's process id as text.

The kernel drops the lock when the last process that inherited it dies, however it dies; a lock file left behind locks
nothing.
"""

import fcntl
import os
from pathlib import Path


class HeldElsewhereError(Exception):
    """Another process holds the lock. `pid` as it wrote it, or 0."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


class FileLock:
    """Held from construction until `release`. Raises HeldElsewhereError, OSError."""

    def __init__(self, path: Path) -> None:
        self.descriptor = _locked(path)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Let the next one in. A second call does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def holder(path: Path) -> int:
    """The process that holds the lock now; 0 when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_pid(descriptor)
    else:
        return 0
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _written_pid(descriptor)
            os.close(descriptor)
            raise HeldElsewhereError(pid) from error
        if _is_named(descriptor, path):
            return descriptor
        # A reaper removed the file between our open and our lock: what we hold is a lock on nothing.
        os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _written_pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else 0
