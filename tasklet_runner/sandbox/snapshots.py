"""The format of a snapshot: one file with the whole state of a module between two steps.

    fixed part: magic, version, length of the description, length of the file, CRC-32 of all of this and the description
    description: msgpack, see `Description`; zeros up to a multiple of 4096 bytes
    the pages of linear memory that hold something else than zeros, in ascending order, 64 KiB each
    stdout so far

Pages stand at multiples of 4096 and nothing before them changes its length from one snapshot to the next, so that two
snapshots of one module differ in the blocks whose memory differs. Integers are little-endian. The checksums find what
is torn or flipped by accident; CRC-32 is the fastest that there is, and stores keep stronger ones of their own.
"""

import struct
import zlib
from dataclasses import dataclass

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import InputError

PAGE_BYTES = 64 * 1024
FORMAT_VERSION = 1

_MAGIC = b"LGSNAP\r\n"
_FIXED = struct.Struct("<8sIIQI")
_ALIGNMENT = 4096
_START_ANEW = "start the run anew (--restart), or give it an older checkpoint"


class SnapshotRefusedError(InputError):
    """A snapshot that is not restored, not even in part: it is damaged, or of something else."""


@dataclass(frozen=True)
class Identity:
    """Whose snapshot it is: the module's SHA-256 (hex), and the chunk's id, which names its input."""

    module: str
    chunk: str


class Description(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot says of itself.

    `steps` have returned; `fuel_used` by them and what was before them; `stdin`: bytes that were read; `global_values`:
    index, wasmtime's kind, value (16 bytes, little-endian); `pages`: the size of memory, of which those are kept whose
    bit is set in `present` (page 0: the lowest bit of the first byte); `stdout`: its bytes so far; `checksum`: the
    CRC-32 of pages and stdout.
    """

    module: str
    chunk: str
    steps: int
    fuel_used: int
    stdin: int
    global_values: tuple[tuple[int, int, bytes], ...]
    pages: int = 0
    present: bytes = b""
    stdout: int = 0
    checksum: int = 0

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The pages that are kept, as (first, behind the last)."""
        return tuple(runs_of(self.present, self.pages))

    @property
    def body_bytes(self) -> int:
        """The length of pages and stdout in the file."""
        return sum(end - first for first, end in self.runs) * PAGE_BYTES + self.stdout


def bitmap(pages: list[int], count: int) -> bytes:
    """These of `count` pages as bits."""
    bits = bytearray((count + 7) // 8)
    for page in pages:
        bits[page // 8] |= 1 << page % 8
    return bytes(bits)


def runs_of(present: bytes, count: int) -> list[tuple[int, int]]:
    """The pages of a bitmap as (first, behind the last)."""
    runs: list[tuple[int, int]] = []
    for page in range(min(count, len(present) * 8)):
        if present[page // 8] >> page % 8 & 1:
            if runs and runs[-1][1] == page:
                runs[-1] = (runs[-1][0], page + 1)
            else:
                runs.append((page, page + 1))
    return runs


def encode_head(description: Description) -> bytes:
    """What stands before the pages."""
    described = msgspec.msgpack.encode(description)
    length = _head_bytes(len(described))
    whole = length + description.body_bytes
    bare = _FIXED.pack(_MAGIC, FORMAT_VERSION, len(described), whole, 0)
    checksum = zlib.crc32(described, zlib.crc32(bare))
    fixed = _FIXED.pack(_MAGIC, FORMAT_VERSION, len(described), whole, checksum)
    return (fixed + described).ljust(length, b"\0")


def head_bytes(start: bytes, size: int) -> int:
    """How long the head is of a file of this size that starts so (at least 28 bytes are given).

    Raises:
        SnapshotRefusedError: it is no snapshot, of another version, or torn.
    """
    if len(start) < _FIXED.size or not start.startswith(_MAGIC):
        raise SnapshotRefusedError("the file is no snapshot: it begins otherwise", remedy=_START_ANEW)
    _, version, described, whole, _ = _FIXED.unpack_from(start)
    if version != FORMAT_VERSION:
        raise SnapshotRefusedError(
            f"the snapshot is of format version {version}, this LeaseGrid reads version {FORMAT_VERSION}",
            remedy="go on with the LeaseGrid that wrote it, or start the run anew (--restart)",
        )
    if whole != size or _head_bytes(described) > size:
        raise damaged(f"it has {size} bytes where it says {whole}")
    return _head_bytes(described)


def decode_head(head: bytes) -> Description:
    """The description in a whole head of the length that `head_bytes` said. Raises SnapshotRefusedError."""
    magic, version, length, whole, checksum = _FIXED.unpack_from(head)
    described = head[_FIXED.size : _FIXED.size + length]
    bare = _FIXED.pack(magic, version, length, whole, 0)
    if zlib.crc32(described, zlib.crc32(bare)) != checksum or any(head[_FIXED.size + length :]):
        raise damaged("its description does not have its checksum")
    try:
        description = msgspec.msgpack.decode(described, type=Description)
    except UNREADABLE as error:
        raise damaged(f"its description cannot be read ({error})") from error
    if len(head) + description.body_bytes != whole:
        raise damaged("its pages are not as many as it says")
    return description


def check_identity(description: Description, identity: Identity) -> None:
    """Refuse a snapshot of another module or chunk, saying what changed. Raises SnapshotRefusedError."""
    if description.module != identity.module:
        raise SnapshotRefusedError(
            f"the snapshot is of another module: it is of {description.module[:12]}…, this is {identity.module[:12]}…",
            remedy="go on with the module that it was taken of, or start the run anew (--restart)",
        )
    if description.chunk != identity.chunk:
        raise SnapshotRefusedError(
            f"the snapshot is of another input: it is of chunk {description.chunk}, this is {identity.chunk}",
            remedy="go on with the input that it was taken of, or start the run anew (--restart)",
        )


def damaged(how: str) -> SnapshotRefusedError:
    """A snapshot of which nothing is believed."""
    return SnapshotRefusedError(f"the snapshot is damaged: {how}", remedy=_START_ANEW)


def _head_bytes(described: int) -> int:
    return -(-(_FIXED.size + described) // _ALIGNMENT) * _ALIGNMENT
