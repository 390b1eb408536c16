"""Files of a results directory: each written under a temporary name beside its place and renamed. Blocking."""

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasklet_runner.wire.errors import ResultsError


class ResultsDirectory:
    """Makes the directory; every call raises ResultsError when it cannot be written or is full."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._suffix = f".{secrets.token_hex(4)}.partial"
        self._parent = ""
        with self._translated():
            directory.mkdir(parents=True, exist_ok=True)

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
        partial = target + self._suffix
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


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
