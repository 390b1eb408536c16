"""What says that bytes are those that were put: an object's SHA-256, or its checksum when it came in a batch.

A digest's length says which of the two it is. The checksum is a Poly1305 tag (RFC 8439, section 2.5) under a key that
everybody knows: it finds every accident, as 128 bits do, for a seventh of the work. It does not find bytes that were
chosen to deceive, and needs not: objects are put by those alone whom the store's holder lets.
"""

import hashlib
from typing import Protocol

from cryptography.hazmat.primitives.poly1305 import Poly1305

CHECKSUM_BYTES = 16
SHA256_BYTES = 32

BLOCK_BYTES = 1024 * 1024
"""A checksum is kept for every block of an object, so that a range of a large one is checked alone."""

_KEY = bytes(range(32))


class Hasher(Protocol):
    """Bytes go in, in any pieces; one digest comes out."""

    def update(self, data: bytes | memoryview, /) -> None:
        """The next bytes."""
        ...

    def digest(self) -> bytes:
        """That of all bytes; to be called once."""
        ...


class Checksum:
    """The checksum of what is given to `update`."""

    def __init__(self) -> None:
        self._sum = Poly1305(_KEY)

    def update(self, data: bytes | memoryview, /) -> None:
        """The next bytes."""
        self._sum.update(data)

    def digest(self) -> bytes:
        """That of all bytes; to be called once."""
        return self._sum.finalize()


def checksum(data: bytes | memoryview) -> bytes:
    """The checksum of these bytes."""
    return Poly1305.generate_tag(_KEY, data)


def hasher_like(digest: bytes | str) -> Hasher:
    """What makes digests of the same kind as this one, which is given as bytes or in hex."""
    size = len(digest) // 2 if isinstance(digest, str) else len(digest)
    return Checksum() if size == CHECKSUM_BYTES else hashlib.sha256()


def digest_like(digest: bytes | str, data: bytes | memoryview) -> bytes:
    """The digest of these bytes, of the same kind as the one that is given."""
    hasher = hasher_like(digest)
    hasher.update(data)
    return hasher.digest()


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
