"""Files of a results directory: each written under a temporary name and renamed into its place. Blocking.

What is half written stands in `.leasegrid-<random>/` of the directory, whose `lock` its writer holds: of one that died
it is removed by the next.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tasklet_runner.wire.errors import ResultsError

_PARTIAL = ".leasegrid-"
_libc = ctypes.CDLL(None, use_errno=True)


class ResultsDirectory:
    """Makes the directory; every call raises ResultsError when it cannot be written or is full. A context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._partial = directory / f"{_PARTIAL}{secrets.token_hex(4)}"
        self._count = 0
        self._parent = ""
        with self._translated():
            directory.mkdir(parents=True, exist_ok=True)
            _remove_stale(directory)
            self._lock = _claim(self._partial)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)
        os.close(self._lock)

    def sync(self) -> None:
        """All that was written survives a power cut. One call for all files: a sync of each would take milliseconds."""
        with self._translated():
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if _libc.syncfs(descriptor) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))
            finally:
                os.close(descriptor)

    def write(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write or replace small files, given as (relative path, bytes)."""
        with self._translated():
            for path, data in files:
                with self._place(path) as descriptor:
                    _write_all(descriptor, data)

    @contextmanager
    def open(self, path: str) -> Iterator[int]:
        """A descriptor for a file that appears under its name when the block ends without an error."""
        with self._translated(), self._place(path) as descriptor:
            yield descriptor

    def append(self, descriptor: int, data: bytes) -> None:
        """The next bytes of an open file."""
        with self._translated():
            _write_all(descriptor, data)

    @contextmanager
    def _place(self, path: str) -> Iterator[int]:
        target = self._target(path)
        self._count += 1
        partial = f"{self._partial}/{self._count}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            os.replace(partial, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise

    def _target(self, path: str) -> str:
        target = f"{self._directory}/{path}"
        parent = target.rpartition("/")[0]
        if parent != self._parent:
            os.makedirs(parent, exist_ok=True)
            self._parent = parent
        return target

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            raise ResultsError(
                f"cannot write results into {self._directory}: {error}",
                remedy="free space there or choose a larger disk"
                if full
                else "choose a directory that you may write, without files in the way",
            ) from error


def _claim(partial: Path) -> int:
    """Make the directory; returns the descriptor that holds its lock. Another export may remove it in between."""
    while True:
        partial.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            lock = os.open(partial / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (partial / "lock").exists():
                return lock
            os.close(lock)


def _remove_stale(directory: Path) -> None:
    for partial in directory.glob(f"{_PARTIAL}*"):
        try:
            lock = os.open(partial / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            # Another export makes it at this moment, or died as it did: then it is empty, and may be in nobody's way.
            with suppress(OSError):
                partial.rmdir()
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(partial, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
