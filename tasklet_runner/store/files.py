"""Bytes of large objects in files: written under a temporary name, synced, renamed, read back with a check.

`incoming/<token>` is being written, `files/<two letters>/<token>` is complete: one object, or those of one batch, one
after the other (a *segment*), or a directory with the files of a batch that changed hands on one machine. A file counts
only when a row of the index names it: what a crash left without a row is removed at the next opening.
"""

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tasklet_runner.wire.digests import BLOCK_BYTES, CHECKSUM_BYTES, checksum


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class IncomingFile:
    """A file that is being written. `size`: so far. Blocking; every call may raise OSError."""

    def __init__(self, root: Path, *, durable: bool) -> None:
        self._root = root
        self._durable = durable
        self.token = secrets.token_hex(16)
        self.size = 0
        self._path = root / "incoming" / self.token
        self._file = self._path.open("xb", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        view = memoryview(data)
        self.size += len(view)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> str:
        """Sync if the area is durable, rename; returns the name under which `FileArea` finds it."""
        if self._durable:
            os.fsync(self._file.fileno())
        self._file.close()
        target = self._root / "files" / self.token[:2]
        if not target.exists():
            target.mkdir(exist_ok=True)
            self._sync(target.parent)
        self._path.rename(target / self.token)
        self._sync(target)
        return self.token

    def abandon(self) -> None:
        """Leave nothing behind; also after `finish`."""
        self._file.close()
        self._path.unlink(missing_ok=True)
        (self._root / "files" / self.token[:2] / self.token).unlink(missing_ok=True)

    def _sync(self, directory: Path) -> None:
        if self._durable:
            sync_directory(directory)


class Extent(NamedTuple):
    """Where an object's bytes stand: the file's name, the first byte there, how many, the checksums of its blocks."""

    file: str
    start: int
    size: int
    checksums: bytes


class FileArea:
    """The large objects of one store. `durable`: a finished file survives a power cut. Blocking; raises OSError."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self._root = root
        self.durable = durable
        self.incoming = root / "incoming"
        self._files = str(root / "files")
        self.incoming.mkdir(exist_ok=True)
        (root / "files").mkdir(exist_ok=True)

    def create(self) -> IncomingFile:
        """A new file under a temporary name."""
        return IncomingFile(self._root, durable=self.durable)

    def read(self, extent: Extent, start: int, end: int) -> bytes | None:
        """Bytes [start, end) of an object; None when a block of them is not what was written."""
        first, last = start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        base = first * BLOCK_BYTES
        descriptor = os.open(self.path_of(extent.file), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, min(extent.size, (last + 1) * BLOCK_BYTES) - base, extent.start + base)
        finally:
            os.close(descriptor)
        blocks = memoryview(data)
        for number in range(first, last + 1):
            block = blocks[number * BLOCK_BYTES - base : (number + 1) * BLOCK_BYTES - base]
            if checksum(block) != extent.checksums[number * CHECKSUM_BYTES : (number + 1) * CHECKSUM_BYTES]:
                return None
        if len(data) < end - base:
            return None
        return data if (start, end) == (base, base + len(data)) else data[start - base : end - base]

    def remove(self, names: Iterable[str]) -> None:
        """Delete files whose rows are gone; those that are not there are no error."""
        directories = set()
        for name in names:
            path = Path(self.path_of(name))
            path.unlink(missing_ok=True)
            if "/" in name:
                directories.add(path.parent)
        for directory in directories:
            with suppress(OSError):  # some of its files are named by other rows
                directory.rmdir()

    def keep_only(self, names: set[str]) -> None:
        """Delete what no row names: the rest of a crash."""
        for leftover in self.incoming.iterdir():
            _keep_of(leftover, leftover.name, set())
        for path in (self._root / "files").glob("*/*"):
            _keep_of(path, path.name, names)

    def path_of(self, name: str) -> str:
        """Where a complete file stands."""
        # A text and no Path: a reader of a hundred parts asks a hundred times.
        return f"{self._files}/{name[:2]}/{name}"


def _keep_of(path: Path, name: str, names: set[str]) -> None:
    if not path.is_dir():
        if name not in names:
            path.unlink()
        return
    for file in path.iterdir():
        _keep_of(file, f"{name}/{file.name}", names)
    with suppress(OSError):  # some of its files are kept
        path.rmdir()
