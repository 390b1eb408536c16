"""What a slot holds: a full record and, in the log beside it, the deltas that build on it one after the other.

Nothing is believed that its checksums do not say: the first delta that is torn, damaged, or left over from an earlier
round ends the chain, and a full record that is not whole is no checkpoint at all.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tasklet_runner.durable.deltas import PlacedRun, decode_table, table_bytes
from tasklet_runner.durable.disk import open_file, pieces_at, read_at
from tasklet_runner.durable.format import HEADER_BYTES, Header, Kind, Unreadable, decode_header, link_to
from tasklet_runner.wire.digests import Checksum

_COUNT_BYTES = 8


@dataclass(frozen=True)
class PlacedDelta:
    """A delta in the log: the size of the payload after it, and where in the log its runs stand."""

    size: int
    runs: tuple[PlacedRun, ...]


@dataclass(frozen=True)
class Chain:
    """A checkpoint on disk. `base`: the full record's header as it is encoded; `newest`: the header of the last one.

    `log_end`: bytes of the log that count. `torn`: why a delta that fits to the chain was not taken, if there is one.
    """

    slot: Path
    log: Path
    base: bytes
    base_size: int
    newest: Header
    link: bytes
    log_end: int = 0
    deltas: tuple[PlacedDelta, ...] = ()
    torn: str = ""


def read_chain(slot: Path, log: Path) -> Chain | Unreadable | None:
    """What stands in the slot; None when there is no such file. Raises OSError."""
    try:
        descriptor = open_file(slot, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        encoded = read_at(descriptor, 0, HEADER_BYTES)
        header = decode_header(encoded)
        if isinstance(header, Unreadable):
            return header
        if header.kind is not Kind.FULL or header.size != header.length:
            return Unreadable("it is not a full checkpoint")
        if not _is_whole(descriptor, HEADER_BYTES, header):
            return Unreadable("its payload is not the one that was written")
    finally:
        os.close(descriptor)
    return _with_deltas(Chain(slot, log, encoded, header.size, header, link_to(encoded)))


def chained(chain: Chain, encoded: bytes, header: Header) -> Chain:
    """The chain with a delta that was written at its end, whose runs are not kept."""
    return replace(chain, newest=header, link=link_to(encoded), log_end=chain.log_end + HEADER_BYTES + header.length)


def _with_deltas(chain: Chain) -> Chain:
    try:
        descriptor = open_file(chain.log, os.O_RDONLY)
    except FileNotFoundError:
        return chain
    try:
        while (longer := _next(chain, descriptor)) is not None:
            chain = longer
            if chain.torn:
                break
    finally:
        os.close(descriptor)
    return chain


def _next(chain: Chain, descriptor: int) -> Chain | None:
    encoded = read_at(descriptor, chain.log_end, HEADER_BYTES)
    header = decode_header(encoded)
    if isinstance(header, Unreadable) or header.kind is not Kind.DELTA or header.link != chain.link:
        return None
    at = chain.log_end + HEADER_BYTES
    if not _is_whole(descriptor, at, header) or (runs := _runs(descriptor, at, header)) is None:
        return replace(chain, torn=f"the delta of generation {header.generation} is not the one that was written")
    placed = tuple(PlacedRun(run.start, run.stop, run.at + at) for run in runs)
    return replace(chained(chain, encoded, header), deltas=(*chain.deltas, PlacedDelta(header.size, placed)))


def _is_whole(descriptor: int, at: int, header: Header) -> bool:
    came, checksum = 0, Checksum()
    for piece in pieces_at(descriptor, at, header.length):
        came += len(piece)
        checksum.update(piece)
    return came == header.length and checksum.digest() == header.digest


def _runs(descriptor: int, at: int, header: Header) -> list[PlacedRun] | None:
    def read(length: int) -> bytes:
        return read_at(descriptor, at, min(length, header.length))

    return read_table(read, header.length, header.size)


def read_table(read: Callable[[int], bytes], length: int, size: int) -> list[PlacedRun] | None:
    """The runs of a delta whose first bytes `read` gives; None when it is none."""
    count = read(_COUNT_BYTES)
    if len(count) < _COUNT_BYTES:
        return None
    return decode_table(read(table_bytes(count)), length, size)
