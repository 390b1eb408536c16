"""The payload of a chain, in flat memory: the full record with the runs of its deltas laid over it."""

import bisect
import os
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from tasklet_runner.durable.chains import Chain
from tasklet_runner.durable.disk import PIECE_BYTES, open_file, read_at
from tasklet_runner.durable.format import HEADER_BYTES
from tasklet_runner.wire.errors import StoreError


class CheckpointReplacedError(StoreError):
    """A newer checkpoint took the place of the one that was being read: read again."""


class Segment(NamedTuple):
    """Bytes [start, stop) of the payload stand in the log, or else in the slot, from byte `at` on."""

    start: int
    stop: int
    in_log: bool
    at: int


def layout(chain: Chain) -> list[Segment]:
    """Where the bytes of the payload stand; ascending and without a gap."""
    segments = [Segment(0, chain.base_size, False, HEADER_BYTES)] if chain.base_size else []
    for delta in chain.deltas:
        segments = _cut(segments, delta.size)
        for run in delta.runs:
            _lay(segments, Segment(run.start, run.stop, True, run.at))
    return segments


class Reading:
    """A checkpoint that is open for reading; a context manager. Blocking; raises OSError."""

    def __init__(self, chain: Chain) -> None:
        self.generation = chain.newest.generation
        self.epoch = chain.newest.epoch
        self.size = chain.newest.size
        self._chain = chain
        self._segments = layout(chain)
        with ExitStack() as opened:
            self._slot = open_file(chain.slot, os.O_RDONLY)
            opened.callback(os.close, self._slot)
            self._log = -1
            if chain.deltas:
                self._log = open_file(chain.log, os.O_RDONLY)
                opened.callback(os.close, self._log)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. A second call does nothing."""
        self._opened.close()

    def pieces(self) -> Iterator[bytes]:
        """The payload. Raises CheckpointReplacedError."""
        for segment in self._segments:
            for start in range(segment.start, segment.stop, PIECE_BYTES):
                length = min(PIECE_BYTES, segment.stop - start)
                yield self._piece(segment.in_log, segment.at + start - segment.start, length)

    def _piece(self, in_log: bool, at: int, length: int) -> bytes:
        piece = read_at(self._log if in_log else self._slot, at, length)
        # A slot's header is taken away before anything else of it is overwritten, and the log after the slot.
        if len(piece) < length or read_at(self._slot, 0, HEADER_BYTES) != self._chain.base:
            raise CheckpointReplacedError(
                f"the checkpoint of generation {self.generation} in {self._chain.slot} was replaced while it was read",
                remedy="read again: there is a newer one",
            )
        return piece


def _cut(segments: list[Segment], size: int) -> list[Segment]:
    return [segment._replace(stop=min(segment.stop, size)) for segment in segments if segment.start < size]


def _lay(segments: list[Segment], new: Segment) -> None:
    """Put a segment over those that are there; its place is found by bisection, so a delta costs its runs alone."""
    first = bisect.bisect_right(segments, new.start, key=lambda segment: segment.stop)
    last, kept = first, list[Segment]()
    while last < len(segments) and segments[last].start < new.stop:
        old = segments[last]
        if old.start < new.start:
            kept.append(old._replace(stop=new.start))
        if old.stop > new.stop:
            kept.append(old._replace(start=new.stop, at=old.at + new.stop - old.start))
        last += 1
    segments[first:last] = sorted((*kept, new))
