"""A full checkpoint on its way into the older slot."""

import os
from contextlib import suppress
from pathlib import Path

from tasklet_runner.durable.disk import Buffer, open_file, sync_directory, write_at
from tasklet_runner.durable.format import HEADER_BYTES, Header, Kind, encode_header
from tasklet_runner.wire.digests import Checksum
from tasklet_runner.wire.errors import ProtocolError


class FullWriter:
    """Writes over what the slot held, in flat memory; nothing counts before `commit`. Blocking; raises OSError.

    A slot that is not there yet is written under another name: a file under a slot's name was whole once, so that a
    first checkpoint cut short is not taken for one that was damaged.
    """

    def __init__(self, slot: Path, *, size: int, durable: bool) -> None:
        self.slot = slot
        self._durable = durable
        self._size = size
        self._sum = Checksum()
        self._at = HEADER_BYTES
        self._fresh = not slot.exists()
        self._path = slot.with_name(f"{slot.name}.new") if self._fresh else slot
        self._descriptor = open_file(self._path, os.O_RDWR | os.O_CREAT)
        try:
            write_at(self._descriptor, bytes(HEADER_BYTES), 0)
            if os.fstat(self._descriptor).st_size > HEADER_BYTES + size:
                os.ftruncate(self._descriptor, HEADER_BYTES + size)
        except OSError:
            self.abandon()
            raise

    def write(self, piece: Buffer) -> None:
        """The next bytes."""
        write_at(self._descriptor, piece, self._at)
        self._sum.update(memoryview(piece))
        self._at += len(piece)

    def digest(self) -> bytes:
        """The checksum of what was written; to be called once."""
        return self._sum.digest()

    def commit(self, generation: int, epoch: int, digest: bytes) -> tuple[bytes, Header]:
        """From now on it counts; the header, encoded and not. Raises ProtocolError: bytes are missing or too many."""
        if self._at != HEADER_BYTES + self._size:
            raise ProtocolError(
                f"a checkpoint of {self._size:,} bytes was announced and {self._at - HEADER_BYTES:,} came",
                remedy="send it again, whole",
            )
        header = Header(Kind.FULL, generation, epoch, self._size, self._size, digest)
        encoded = encode_header(header)
        write_at(self._descriptor, encoded, 0)
        if self._durable:
            # One for payload and header: in whichever order they reach the disk, the checksums tell.
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._fresh:
            self._path.rename(self.slot)
            if self._durable:
                sync_directory(self.slot.parent)
        return encoded, header

    def abandon(self) -> None:
        """Give back the space of what did not become a checkpoint; after `commit`, or again, it does nothing."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._fresh:
            self._path.unlink(missing_ok=True)
