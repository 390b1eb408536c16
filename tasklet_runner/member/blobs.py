"""Blobs of a lease: named by their SHA-256, written in pieces, bounded by the member's tmpfs."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tasklet_runner.sandbox.archives import is_digest
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.work import Blob


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class BlobShelf:
    """All blobs of the member; `capacity` in bytes, of which `used` are taken. One per lease, shared by its
    connections. `make_way` frees some of what nobody needs yet, and says False when there is nothing of the kind.
    """

    def __init__(self, directory: Path, capacity: int) -> None:
        self.make_way: Callable[[], bool] = lambda: False
        self.directory = directory
        self.used = 0
        self.capacity = capacity

    def has(self, digest: str) -> bool:
        """True when the whole blob is here; False for what is no digest, such as a path to somewhere else."""
        return is_digest(digest) and self.path(digest).is_file()

    def path(self, digest: str) -> Path:
        """Where the blob stands or would stand."""
        return self.directory / digest

    def reserve(self, blob: Blob) -> None:
        """Count a new blob in. Raises RefusedError when there is no room for it."""
        while self.used + blob.size > self.capacity and self.make_way():
            pass
        if self.used + blob.size > self.capacity:
            raise RefusedError(
                "CapacityExceeded",
                f"a blob of {blob.size} bytes does not fit: {self.used} of scratch's {self.capacity} are taken",
                remedy="give members a larger scratch (resources.memory of the pool) or send less at once",
            )
        self.used += blob.size

    def forget(self, digest: str) -> None:
        """Delete a blob; one that is not here is no error."""
        if self.has(digest):
            path = self.path(digest)
            self.used -= path.stat().st_size
            path.unlink()


class BlobReceipt:
    """One blob on its way in. `owner` makes its temporary name unique."""

    def __init__(self, shelf: BlobShelf, first: Blob, owner: int) -> None:
        if not is_digest(first.digest) or first.size < 0 or first.offset != 0:
            raise RefusedError("BadRequest", "a blob must begin at offset 0, named by a SHA-256 in hex")
        shelf.reserve(first)
        self._shelf = shelf
        self._first = first
        self._path = shelf.directory / f".{owner}-{first.digest}"
        self._file = self._path.open("wb", buffering=0)
        self._hash: _Digest = hashlib.sha256()
        self._written = 0

    def add(self, piece: Blob) -> bool:
        """Take the next piece; True when the blob is complete. Raises RefusedError when it is not what it says."""
        if piece.offset != self._written or self._written + len(piece.data) > self._first.size:
            self.abandon()
            raise RefusedError("BadRequest", f"pieces of the blob {piece.digest} are out of order")
        self._write(piece.data)
        self._hash.update(piece.data)
        self._written += len(piece.data)
        if self._written < self._first.size:
            return False
        self._finish()
        return True

    def abandon(self) -> None:
        """Forget what came so far."""
        self._file.close()
        self._path.unlink(missing_ok=True)
        self._shelf.used -= self._first.size

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.abandon()
            raise RefusedError(
                "IoError",
                f"the blob {self._first.digest} cannot be written to scratch: {error.strerror}",
                remedy="give members a larger scratch (resources.memory of the pool) or send less at once",
            ) from error

    def _finish(self) -> None:
        if self._hash.hexdigest() != self._first.digest:
            self.abandon()
            raise RefusedError("BadRequest", f"the blob named {self._first.digest} has another SHA-256")
        self._file.close()
        if self._shelf.has(self._first.digest):
            self._shelf.used -= self._first.size
        os.replace(self._path, self._shelf.path(self._first.digest))
