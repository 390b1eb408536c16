"""Bytes of large objects in files: written under a temporary name, synced, renamed, read back with a check.

`incoming/<token>` is being written, `files/<two letters>/<token>` is complete: one object, or those of one batch, one
after the other (a *segment*). A file counts only when a row of the index names it: what a crash left without a row is
removed at the next opening.
"""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tasklet_runner.wire.digests import CHECKSUM_BYTES, Checksum, checksum

BLOCK_BYTES = 1024 * 1024
"""A checksum is kept for every block of an object, so that a range of a large one is checked alone."""


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BlockSums:
    """The checksums of one object, whose bytes come in any pieces."""

    def __init__(self) -> None:
        self._sums: list[bytes] = []
        self._open = Checksum()
        self._filled = 0

    def add(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        view = memoryview(data)
        while view:
            piece = view[: BLOCK_BYTES - self._filled]
            self._open.update(piece)
            self._filled += len(piece)
            view = view[len(piece) :]
            if self._filled == BLOCK_BYTES:
                self._close()

    def finish(self) -> bytes:
        """All bytes are in: the checksum of each block, one after the other."""
        if self._filled:
            self._close()
        return b"".join(self._sums)

    def _close(self) -> None:
        self._sums.append(self._open.digest())
        self._open, self._filled = Checksum(), 0


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
        self._files = str(root / "files")
        (root / "incoming").mkdir(exist_ok=True)
        (root / "files").mkdir(exist_ok=True)

    def create(self) -> IncomingFile:
        """A new file under a temporary name."""
        return IncomingFile(self._root, durable=self.durable)

    def read(self, extent: Extent, start: int, end: int) -> bytes | None:
        """Bytes [start, end) of an object; None when a block of them is not what was written."""
        first, last = start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        base = first * BLOCK_BYTES
        descriptor = os.open(self._path(extent.file), os.O_RDONLY | os.O_CLOEXEC)
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
        for name in names:
            Path(self._path(name)).unlink(missing_ok=True)

    def keep_only(self, names: set[str]) -> None:
        """Delete what no row names: the rest of a crash."""
        for leftover in (self._root / "incoming").iterdir():
            leftover.unlink()
        for path in (self._root / "files").glob("*/*"):
            if path.name not in names:
                path.unlink()

    def _path(self, name: str) -> str:
        # A text and no Path: a reader of a hundred parts asks a hundred times.
        return f"{self._files}/{name[:2]}/{name}"
