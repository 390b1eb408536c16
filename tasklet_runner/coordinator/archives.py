"""Tar archives that have the same bytes for the same content: no times, owners or rights, names in the order given.

Format: POSIX pax (IEEE 1003.1-2001), written member by member, so that memory stays flat.
"""

import tarfile
from pathlib import Path

from tasklet_runner.coordinator.blobs import BlobFile, BlobWriter

_BLOCK = 512


class ArchiveWriter:
    """Writes a tar archive whose members come in pieces."""

    def __init__(self, path: Path) -> None:
        self._writer = BlobWriter(path)
        self._left = 0
        self._padding = 0

    def begin(self, name: str, size: int) -> int:
        """The next member is a file of exactly `size` bytes; returns where they will stand, for `again`.

        Raises ValueError when the member before is not whole.
        """
        self._check_whole()
        header = tarfile.TarInfo(name)
        header.size = size
        header.mode = 0o644
        self._writer.write(header.tobuf(tarfile.PAX_FORMAT))
        start = self._writer.size
        self._left = size
        self._padding = -size % _BLOCK
        self._end_member_when_full()
        return start

    def write(self, data: bytes) -> None:
        """Bytes of the member that was begun. Raises ValueError when they are too many."""
        if len(data) > self._left:
            raise ValueError(f"{len(data) - self._left} bytes more than the member was to have")
        self._writer.write(data)
        self._left -= len(data)
        self._end_member_when_full()

    def add(self, name: str, data: bytes) -> None:
        """A whole member."""
        self.begin(name, len(data))
        if data:
            self.write(data)

    def again(self, name: str, start: int, size: int) -> None:
        """A member of bytes that were written before: what is far away is fetched once."""
        self.begin(name, size)
        for data in self._writer.written(start, size):
            self.write(data)

    def finish(self) -> BlobFile:
        """Close the archive. Raises ValueError when the last member is not whole."""
        self._check_whole()
        self._writer.write(bytes(2 * _BLOCK))
        return self._writer.finish()

    def abandon(self) -> None:
        """Delete what was written."""
        self._writer.abandon()

    def _check_whole(self) -> None:
        if self._left:
            raise ValueError(f"{self._left} bytes are missing of a member")

    def _end_member_when_full(self) -> None:
        if self._left == 0 and self._padding:
            self._writer.write(bytes(self._padding))
            self._padding = 0
