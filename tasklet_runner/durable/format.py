"""The header of a record in a checkpoint's files: pure.

Format, little-endian, 160 bytes: magic (8), version (2), kind (2), zero (4), generation (8), epoch (8), length of the
body that follows (8), size of the payload that the record leads to (8), checksum of the body (`wire.digests`, 16), zero
(16), link (32), zero (16), SHA-256 of all that (32). A later version keeps magic, version, length of the header
and its SHA-256 where they are, so that this one can say what it has before it.

A *full* record's body is the payload. A *delta*'s (`durable.deltas`) is what changed since the record that its link
names: that record's last 32 bytes. So a record that an earlier round left behind in the file never fits to the chain.
An *epoch* has no body: writers of lower epochs are fenced.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"\x89LGCKP\r\n"
"""As in PNG: a byte that is not ASCII, and a line ending, which careless copying changes."""

VERSION = 1
HEADER_BYTES = 160
NO_LINK = bytes(32)
NO_BODY = bytes(16)

_FIELDS = struct.Struct("<8sHH4xQQQQ16s16x32s16x")
_SUM_BYTES = 32
_MOST = 2**63 - 1


class Kind(IntEnum):
    """What a record is."""

    FULL = 1
    DELTA = 2
    EPOCH = 3


@dataclass(frozen=True)
class Header:
    """A record. `length`: bytes of its body; `size`: bytes of the payload once the record is applied."""

    kind: Kind
    generation: int
    epoch: int
    length: int = 0
    size: int = 0
    digest: bytes = NO_BODY
    link: bytes = NO_LINK

    @property
    def order(self) -> tuple[int, int]:
        """Of two checkpoints the one with the greater order is newer."""
        return self.epoch, self.generation


@dataclass(frozen=True)
class Unreadable:
    """Bytes that are no record of this version, and why. `version`: that of a whole record of another one, else 0."""

    reason: str
    version: int = 0


def encode_header(header: Header) -> bytes:
    """The header's bytes; their last 32 are what the next delta's link names."""
    fields = _FIELDS.pack(
        MAGIC,
        VERSION,
        header.kind,
        header.generation,
        header.epoch,
        header.length,
        header.size,
        header.digest,
        header.link,
    )
    return fields + hashlib.sha256(fields).digest()


def decode_header(data: bytes) -> Header | Unreadable:
    """The header that these bytes are, or why they are none."""
    if len(data) < HEADER_BYTES:
        return Unreadable(f"it ends after {len(data)} bytes of its header")
    fields, header_sum = data[: _FIELDS.size], data[_FIELDS.size : HEADER_BYTES]
    if fields[: len(MAGIC)] != MAGIC:
        return Unreadable("it does not begin as a checkpoint does")
    if hashlib.sha256(fields).digest() != header_sum:
        return Unreadable("the checksum of its header differs")
    _, version, kind, generation, epoch, length, size, digest, link = _FIELDS.unpack(fields)
    if version != VERSION:
        return Unreadable(f"it is of version {version}, this release reads version {VERSION}", version)
    if kind not in set(Kind) or max(generation, epoch, length, size) > _MOST:
        return Unreadable("its header has values that no writer gives")
    return Header(Kind(kind), generation, epoch, length, size, digest, link)


def link_to(encoded: bytes) -> bytes:
    """What a delta names that builds on this encoded header."""
    return encoded[HEADER_BYTES - _SUM_BYTES : HEADER_BYTES]
