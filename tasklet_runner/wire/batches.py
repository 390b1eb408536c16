"""Objects one after the other in one body, each `u32 big-endian header length | header as JSON | bytes`.

Pure: what is read or sent is given and taken in pieces, so that a batch of any size needs no more memory than a piece.
"""

import struct
from collections.abc import Iterator

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.digests import CHECKSUM_BYTES
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.store import ObjectInfo, checked_key

MAX_BATCH_OBJECTS = 100_000
"""Of one request."""

MAX_HEAD_BYTES = 32 * 1024
"""A key of MAX_KEY_BYTES, each byte of it escaped, stands in so much JSON."""

_LENGTH = struct.Struct(">I")


class ObjectHead(msgspec.Struct, frozen=True):
    """What comes next: an object's key, its size in bytes, its digest in hex (empty: not announced)."""

    key: str
    size: int
    digest: str = ""


class BatchReply(msgspec.Struct, frozen=True):
    """The answer to a batch that was put: all of its objects, in its order."""

    objects: tuple[ObjectInfo, ...]


class BatchRequest(msgspec.Struct, frozen=True):
    """Which objects are to be sent, in this order."""

    keys: tuple[str, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ObjectHead).decode


def framed(head: ObjectHead) -> bytes:
    """What stands before the object's bytes. Raises ProtocolError for a key that is not UTF-8."""
    try:
        body = _encode(head)
    except UnicodeEncodeError as error:
        raise ProtocolError(f"the key {head.key!r} is not UTF-8", remedy="give the object another name") from error
    return _LENGTH.pack(len(body)) + body


def framed_bytes(key: str, size: int, digest: bytes = bytes(CHECKSUM_BYTES)) -> int:
    """How many bytes an object takes in a batch that announces a digest of this kind."""
    return len(framed(ObjectHead(key, size, digest.hex()))) + size


class BatchDecoder:
    """Takes a batch apart. `between`: True where one object is whole and the next has not begun."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0

    @property
    def between(self) -> bool:
        """True where a batch may end."""
        return not self._rest and not self._left

    def feed(self, data: bytes) -> Iterator[ObjectHead | memoryview]:
        """Each object's head, then its bytes in pieces (none for an empty one). To be used up before the next call.

        Raises ProtocolError for a head that cannot be read.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        view, at = memoryview(data), 0
        while at < len(data):
            if self._left:
                piece = view[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                yield piece
                continue
            end = _head_end(data, at)
            if end > len(data):
                self._rest = data[at:]
                return
            head = _head(data[at + _LENGTH.size : end])
            at, self._left = end, head.size
            yield head


def _head_end(data: bytes, at: int) -> int:
    if len(data) - at < _LENGTH.size:
        return len(data) + 1
    (length,) = _LENGTH.unpack_from(data, at)
    if length > MAX_HEAD_BYTES:
        raise ProtocolError(f"a header of {length:,} bytes in a batch", remedy=f"at most {MAX_HEAD_BYTES:,}")
    return at + _LENGTH.size + int(length)


def _head(data: bytes) -> ObjectHead:
    try:
        head = _decode(data)
    except UNREADABLE as error:
        raise ProtocolError(
            f"a header in a batch cannot be read: {error}", remedy='{"key": "…", "size": 0, "digest": "…"}'
        ) from error
    if head.size < 0:
        raise ProtocolError(f"object {head.key!r} of {head.size} bytes", remedy="a size is not negative")
    checked_key(head.key)
    return head
