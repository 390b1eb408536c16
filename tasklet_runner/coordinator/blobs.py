"""Bytes that are too many for a frame: kept in a file, named by their SHA-256, sent in pieces."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.wire.errors import StateDirectoryError
from tasklet_runner.wire.work import BLOB_PIECE_BYTES, Blob


@dataclass(frozen=True)
class BlobFile:
    """A file of `size` bytes with that SHA-256 (hex); it does not change as long as somebody sends it."""

    path: Path
    digest: str
    size: int

    def pieces(self) -> Iterator[Blob]:
        """The messages that carry the blob, in order; at least one, of which the last ends at `size`."""
        with self.path.open("rb") as file:
            offset = 0
            while True:
                data = file.read(BLOB_PIECE_BYTES)
                yield Blob(self.digest, self.size, offset, data)
                offset += len(data)
                if offset >= self.size or not data:
                    return

    def remove(self) -> None:
        """Delete the file; one that is gone is no error."""
        self.path.unlink(missing_ok=True)


class BlobWriter:
    """Writes a new blob into a directory piece by piece, and knows its digest at the end.

    Raises StateDirectoryError, and leaves nothing there, when the directory takes no more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise self._refused(error) from error

    def write(self, data: bytes) -> None:
        """Append bytes."""
        try:
            self._file.write(data)
        except OSError as error:
            self.abandon()
            raise self._refused(error) from error
        self._hash.update(data)
        self.size += len(data)

    def written(self, start: int, size: int) -> Iterator[bytes]:
        """Bytes that were written before, in pieces."""
        try:
            self._file.flush()
        except OSError as error:
            self.abandon()
            raise self._refused(error) from error
        with self.path.open("rb") as file:
            file.seek(start)
            while size and (data := file.read(min(size, BLOB_PIECE_BYTES))):
                size -= len(data)
                yield data

    def finish(self) -> BlobFile:
        """Close the file; the blob is whole."""
        try:
            self._file.close()
        except OSError as error:
            self.abandon()
            raise self._refused(error) from error
        return BlobFile(self.path, self._hash.hexdigest(), self.size)

    def abandon(self) -> None:
        """Close and delete what was written."""
        # Closing writes what is still buffered, for which there may be no room.
        with suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _refused(self, error: OSError) -> StateDirectoryError:
        return StateDirectoryError(
            f"{self.path.parent} takes no more: {error.strerror}",
            remedy="free space there, or name a larger disk: XDG_STATE_HOME (what is kept), TMPDIR (scratch)",
        )
