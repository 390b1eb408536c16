"""The two slots of one key: `<key>.a` and `<key>.b`, each with a log of deltas beside it, and the epoch of the writer.

A full checkpoint goes into the slot that does not hold the newest one, so that at every instant one whole checkpoint
stands untouched. A delta is appended to the log of the newest one. The newest is that with the highest epoch and
generation of which every byte is what was written.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.durable.chains import Chain, chained, read_chain, read_table
from tasklet_runner.durable.disk import Buffer, open_file, read_at, sync_directory, write_at
from tasklet_runner.durable.format import (
    HEADER_BYTES,
    VERSION,
    Header,
    Kind,
    Unreadable,
    decode_header,
    encode_header,
    link_to,
)
from tasklet_runner.durable.reading import Reading
from tasklet_runner.durable.writing import FullWriter
from tasklet_runner.wire.checkpoints import FULL_WANTED, encoded_key
from tasklet_runner.wire.digests import checksum
from tasklet_runner.wire.errors import (
    CheckpointDamagedError,
    CheckpointVersionError,
    ProtocolError,
    RefusedError,
    StoreFencedError,
)

SUFFIXES = (".a", ".b")
_LOG = ".deltas"
_EPOCH = ".epoch"
_LOOKS = 9


@dataclass(frozen=True)
class Draft:
    """A checkpoint that is to be: its generation, the epoch of its writer, the size of its payload."""

    generation: int
    epoch: int
    size: int


class Slots:
    """The checkpoints of one key in a directory, which exists; one process writes there. Blocking.

    `skipped`: why a slot or a delta was passed over when the newest was looked for, in words; empty when none was.
    Every call may raise:
        OSError: the disk fails or is full; what was the newest checkpoint still is.
        CheckpointDamagedError: there are checkpoints and none of them is whole.
        CheckpointVersionError: one of them was written by a release with another format.
    """

    def __init__(self, directory: Path, key: str, *, durable: bool = True) -> None:
        self._directory = directory
        self._key = key
        self._stem = encoded_key(key)
        self._durable = durable
        self._newest: Chain | None = None
        self._known = False
        self.skipped: tuple[str, ...] = ()

    @property
    def newest(self) -> Header | None:
        """The newest checkpoint, or None before the first one. Reads every byte the first time."""
        chain = self._chain()
        return None if chain is None else chain.newest

    @property
    def epoch(self) -> int:
        """The highest epoch that is known here: that of the writer; 0 before the first."""
        raised = decode_header(self._epoch_record())
        written = self._header_epochs()
        return max(0 if isinstance(raised, Unreadable) else raised.epoch, *written)

    def fence(self, epoch: int) -> None:
        """Whoever writes with a lower epoch is refused from now on. Raises StoreFencedError: a later one is known."""
        known = self.epoch
        self._require_epoch(epoch, known)
        if epoch > known:
            self._write_epoch(epoch)

    def next_epoch(self) -> int:
        """Fence all writers there were; the epoch of the one that asks."""
        epoch = self.epoch + 1
        self._write_epoch(epoch)
        return epoch

    def open(self) -> Reading | None:
        """The newest checkpoint's payload, looked for anew; None before the first one."""
        self._known = False
        chain = self._chain()
        return None if chain is None else Reading(chain)

    def write(self, draft: Draft, payload: Buffer) -> None:
        """Keep a full checkpoint; it is durable when the call returns. Raises besides what `begin` does."""
        writer = self.begin(draft)
        try:
            writer.write(payload)
            self.finish(writer, draft, writer.digest())
        finally:
            writer.abandon()

    def begin(self, draft: Draft) -> FullWriter:
        """A full checkpoint that comes in pieces: for `finish`, or to be abandoned.

        Raises StoreFencedError when a later epoch writes, RefusedError (Conflict) when the generation is not new.
        """
        self._require_writable(draft)
        return FullWriter(self._older(), size=draft.size, durable=self._durable)

    def finish(self, writer: FullWriter, draft: Draft, digest: bytes) -> None:
        """All bytes were written: from now on it is the newest. Raises besides: ProtocolError (bytes are missing)."""
        encoded, header = writer.commit(draft.generation, draft.epoch, digest)
        self._newest = Chain(writer.slot, _log_of(writer.slot), encoded, header.size, header, link_to(encoded))

    def append(self, draft: Draft, base: int, delta: bytes) -> None:
        """Keep what changed since generation `base`, which is the newest; durable when the call returns.

        Raises besides: StoreFencedError; RefusedError (Conflict: another base or generation; FullWanted: with this one
        the deltas had more than half the bytes of what they build on); ProtocolError (it is no delta).
        """
        chain = self._require_writable(draft)
        if chain is None or chain.newest.generation != base:
            raise RefusedError(
                "Conflict",
                f"the newest checkpoint of {self._key!r} is not of generation {base}",
                remedy="put the whole payload",
            )
        if not fits(chain, len(delta)):
            raise RefusedError(
                FULL_WANTED, f"the deltas of {self._key!r} have grown too long", remedy="put the whole payload"
            )
        if read_table(lambda length: delta[:length], len(delta), draft.size) is None:
            raise ProtocolError(
                f"these {len(delta):,} bytes are no delta to {draft.size:,} bytes", remedy="see durable.deltas"
            )
        self._append(chain, draft, delta)

    def room_for_delta(self, byte_count: int) -> bool:
        """True when `append` would take a delta of so many bytes."""
        chain = self._chain()
        return chain is not None and fits(chain, byte_count)

    def is_kept(self, draft: Draft, digest: bytes) -> bool:
        """True when the newest record is this one: its writer did not hear the answer and asks again."""
        newest = self.newest
        return newest is not None and (newest.epoch, newest.generation, newest.size, newest.digest) == (
            draft.epoch,
            draft.generation,
            draft.size,
            digest,
        )

    def delete(self, epoch: int | None = None) -> None:
        """Nothing is left of this key. No error when there was nothing.

        `epoch`: who wants it; raises StoreFencedError when a later one is known.
        """
        if epoch is not None:
            self._require_epoch(epoch, self.epoch)
        for path in self._files():
            path.unlink(missing_ok=True)
        if self._durable:
            sync_directory(self._directory)
        self._newest, self._known = None, True

    @property
    def used_bytes(self) -> int:
        """Bytes of all files of this key."""
        return sum(path.stat().st_size for path in self._files())

    def _chain(self) -> Chain | None:
        if not self._known:
            self._newest = self._search()
            self._known = True
        return self._newest

    def _search(self) -> Chain | None:
        found = {suffix: read_chain(self._slot(suffix), _log_of(self._slot(suffix))) for suffix in SUFFIXES}
        bad = {suffix: what for suffix, what in found.items() if isinstance(what, Unreadable)}
        chains = [what for what in found.values() if isinstance(what, Chain)]
        self.skipped = tuple(f"{self._slot(suffix)}: {what.reason}" for suffix, what in bad.items())
        for what in bad.values():
            if what.version:
                raise self._other_version(what)
        if bad and not chains:
            raise CheckpointDamagedError(
                f"no checkpoint of {self._key!r} is whole: {'; '.join(self.skipped)}",
                remedy=f"check the disk; to begin anew, delete {self._directory / self._stem}.*",
            )
        newest = max(chains, key=lambda chain: chain.newest.order, default=None)
        if newest is not None and newest.torn:
            self.skipped += (f"{newest.log}: {newest.torn}",)
        return newest

    def _other_version(self, what: Unreadable) -> CheckpointVersionError:
        return CheckpointVersionError(
            f"a checkpoint of {self._key!r} in {self._directory} has format version {what.version}; this release reads"
            f" version {VERSION}",
            remedy="go on with the release that wrote it, or delete it to begin anew",
        )

    def _require_writable(self, draft: Draft) -> Chain | None:
        self._require_epoch(draft.epoch, self.epoch)
        chain = self._chain()
        if chain is not None and draft.generation <= chain.newest.generation:
            raise RefusedError(
                "Conflict",
                f"generation {draft.generation} of {self._key!r} is not new: the newest checkpoint is"
                f" {chain.newest.generation}",
                remedy="read it and go on from there",
            )
        return chain

    def _require_epoch(self, epoch: int, known: int) -> None:
        if epoch < known:
            raise StoreFencedError(
                f"the checkpoints of {self._key!r} are written under epoch {known}, which is later than {epoch}",
                remedy="another process goes on with this state: end this one",
            )

    def _append(self, chain: Chain, draft: Draft, delta: bytes) -> None:
        header = Header(Kind.DELTA, draft.generation, draft.epoch, len(delta), draft.size, checksum(delta), chain.link)
        encoded = encode_header(header)
        fresh = not chain.log.exists()
        descriptor = open_file(chain.log, os.O_WRONLY | os.O_CREAT)
        try:
            write_at(descriptor, encoded + delta, chain.log_end)
            if self._durable:
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if fresh and self._durable:
            sync_directory(self._directory)
        self._newest = chained(chain, encoded, header)

    def _older(self) -> Path:
        chain = self._chain()
        first, second = (self._slot(suffix) for suffix in SUFFIXES)
        return second if chain is not None and chain.slot == first else first

    def _slot(self, suffix: str) -> Path:
        return self._directory / (self._stem + suffix)

    def _files(self) -> list[Path]:
        slots = [self._slot(suffix) for suffix in SUFFIXES]
        named = [*slots, *map(_log_of, slots), self._slot(_EPOCH)]
        named += [_fresh_of(path) for path in (*slots, self._slot(_EPOCH))]
        return [path for path in named if path.exists()]

    def _header_epochs(self) -> list[int]:
        # Read each time: whoever has passed over the lock of a stopped process is seen here.
        headers = [decode_header(_head(self._slot(suffix))) for suffix in SUFFIXES]
        known = [header.epoch for header in headers if isinstance(header, Header)]
        return [0, *known, *([self._newest.newest.epoch] if self._newest is not None else [])]

    def _epoch_record(self) -> bytes:
        return _head(self._slot(_EPOCH))

    def _write_epoch(self, epoch: int) -> None:
        path = self._slot(_EPOCH)
        descriptor = open_file(_fresh_of(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_at(descriptor, encode_header(Header(Kind.EPOCH, 0, epoch)), 0)
            if self._durable:
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        _fresh_of(path).rename(path)
        if self._durable:
            sync_directory(self._directory)


def open_beside_writer(directory: Path, key: str) -> Reading | None:
    """The newest checkpoint for one who does not write there, while another may. Raises what `Slots.open` does.

    Between two looks at the slots the writer can finish with one and begin with the other: so what seems to be damage
    is looked at again.
    """
    for _ in range(_LOOKS):
        with suppress(CheckpointDamagedError):
            return Slots(directory, key).open()
    return Slots(directory, key).open()


def fits(chain: Chain, byte_count: int) -> bool:
    """True while the deltas, with one more of so many bytes, have at most half the bytes of what they build on."""
    return 2 * (chain.log_end + HEADER_BYTES + byte_count) <= chain.base_size


def _head(path: Path) -> bytes:
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return read_at(descriptor, 0, HEADER_BYTES)
    finally:
        os.close(descriptor)


def _log_of(slot: Path) -> Path:
    return slot.with_name(slot.name + _LOG)


def _fresh_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
