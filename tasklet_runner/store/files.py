"""Large objects as files: written under a temporary name, synced, renamed, read back block by block with a check.

`incoming/<token>` is being written, `files/<two letters>/<token>` is complete. A file counts only when a row of the
index names it: what a crash left without a row is removed at the next opening.
"""

import hashlib
import os
import secrets
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

BLOCK_BYTES = 1024 * 1024
"""A checksum (CRC-32) is kept for every block, so that a range of a large object is checked without reading it all."""


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class IncomingFile:
    """A file that is being written block by block; all blocks but the last have BLOCK_BYTES.

    Blocking; every call may raise OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.token = secrets.token_hex(16)
        self._path = root / "incoming" / self.token
        self._file = self._path.open("xb", buffering=0)
        self._sums: list[int] = []

    @property
    def checksums(self) -> bytes:
        """CRC-32 of each block, little-endian."""
        return struct.pack(f"<{len(self._sums)}I", *self._sums)

    def append(self, block: bytes) -> None:
        """Write the next block."""
        self._sums.append(zlib.crc32(block))
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> str:
        """Sync, rename; returns the name under which `FileArea` finds it. Durable on return."""
        os.fsync(self._file.fileno())
        self._file.close()
        target = self._root / "files" / self.token[:2]
        if not target.exists():
            target.mkdir(exist_ok=True)
            sync_directory(target.parent)
        self._path.rename(target / self.token)
        sync_directory(target)
        return self.token

    def abandon(self) -> None:
        """Leave nothing behind; also after `finish`."""
        self._file.close()
        self._path.unlink(missing_ok=True)
        (self._root / "files" / self.token[:2] / self.token).unlink(missing_ok=True)


class FileArea:
    """The large objects of one store, by the names that `IncomingFile.finish` returned. Blocking; raises OSError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        (root / "incoming").mkdir(exist_ok=True)
        (root / "files").mkdir(exist_ok=True)

    def create(self) -> IncomingFile:
        """A new file under a temporary name."""
        return IncomingFile(self._root)

    def read(self, name: str, checksums: bytes, start: int, end: int) -> bytes | None:
        """Bytes [start, end) of a file; None when a block of them is not what was written."""
        first, last = start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        with self._path(name).open("rb", buffering=0) as file:
            file.seek(first * BLOCK_BYTES)
            pieces = [file.read(BLOCK_BYTES) for _ in range(first, last + 1)]
        expected = struct.unpack_from(f"<{len(pieces)}I", checksums, first * 4)
        if any(zlib.crc32(piece) != sum_ for piece, sum_ in zip(pieces, expected, strict=True)):
            return None
        base = first * BLOCK_BYTES
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return data[start - base : end - base] if len(data) >= end - base else None

    def remove(self, names: Iterable[str]) -> None:
        """Delete files whose rows are gone; those that are not there are no error."""
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def keep_only(self, names: set[str]) -> None:
        """Delete what no row names: the rest of a crash."""
        for leftover in (self._root / "incoming").iterdir():
            leftover.unlink()
        for path in (self._root / "files").glob("*/*"):
            if path.name not in names:
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._root / "files" / name[:2] / name


def digest_of(data: bytes) -> bytes:
    """SHA-256 as 32 raw bytes: how digests stand in the index."""
    return hashlib.sha256(data).digest()
