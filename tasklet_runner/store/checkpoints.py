"""The checkpoints of a store: two slots per key (`tasklet_runner.durable`) in its directory `checkpoints/`.

Slots are read and written in threads of their own: a large checkpoint keeps neither the loop waiting nor the objects.
Of one key one request at a time writes; of different keys several do.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tasklet_runner.durable.disk import PIECE_BYTES, sync_directory
from tasklet_runner.durable.reading import Reading
from tasklet_runner.durable.slots import Draft, Slots, open_beside_writer
from tasklet_runner.durable.writing import FullWriter
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.quota import Quota
from tasklet_runner.wire.checkpoints import CheckpointInfo, decoded_key
from tasklet_runner.wire.digests import checksum
from tasklet_runner.wire.errors import ProtocolError, RefusedError, StoreFencedError

DIRECTORY = "checkpoints"
_WORKERS = 2
"""So many keys at a time wait for the disk."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Arriving:
    """What a request puts: the checkpoint that it is to be, how many bytes come, and their checksum in hex.

    `base`: the generation that a delta builds on; None: the whole payload comes.
    """

    draft: Draft
    length: int
    digest: str
    base: int | None = None


@dataclass
class _Kept:
    """`floor`: requests of lower epochs are fenced; `receiving`: what ends when a later request comes."""

    slots: Slots
    used: int
    users: int = 0
    doomed: bool = False
    floor: int = 0
    receiving: asyncio.Timeout | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def make_way(self, epoch: int) -> None:
        """A writer asks one thing after the other: what one of this epoch or a lower one still sends was given up, or
        its process stands still and would keep its successor out.
        """
        if epoch >= self.floor:
            self.floor = epoch
            receiving, self.receiving = self.receiving, None
            if receiving is not None:
                receiving.reschedule(asyncio.get_running_loop().time())


class Checkpoints:
    """For one event loop. Every call may raise StoreError (the disk fails, or it or the quota is full) and what
    `durable.slots.Slots` says of its calls.
    """

    def __init__(self, name: StoreName, quota: Quota, *, durable: bool) -> None:
        self._name = name
        self._quota = quota
        self._durable = durable
        self._directory = name.directory / DIRECTORY
        self._kept: dict[str, _Kept] = {}
        self._workers: ThreadPoolExecutor | None = None
        for key in self._keys():
            self._of(key)

    @property
    def empty(self) -> bool:
        """True while there is none."""
        return not self._kept

    async def put(self, key: str, arriving: Arriving, pieces: AsyncIterator[bytes]) -> CheckpointInfo:
        """Keep a checkpoint that arrives in pieces, a full one in flat memory; durable when the call returns.

        Raises besides: RefusedError (DigestMismatch: bytes are not those of the digest; TooLarge: more came than were
        announced).
        """
        delta = b"" if arriving.base is None else await _gathered(pieces, arriving)
        async with self._writing(key, arriving.draft.epoch) as kept, _receiving(kept, arriving.draft.epoch):
            if await self._run(lambda: kept.slots.is_kept(arriving.draft, bytes.fromhex(arriving.digest))):
                async for _ in pieces:
                    pass
            elif arriving.base is None:
                await self._put_full(kept, arriving, pieces)
            else:
                await self._put_delta(kept, arriving, arriving.base, delta)
        return CheckpointInfo(arriving.draft.generation, arriving.draft.epoch, arriving.draft.size)

    async def open(self, key: str, epoch: int | None = None) -> Reading:
        """The newest checkpoint, to be closed by the caller. `epoch`: the reader's, who writes from now on.

        Raises besides: RefusedError (NotFound: there is none); StoreFencedError (a later epoch writes).
        """
        if epoch is not None:
            async with self._writing(key, epoch) as kept:
                await self._run(lambda: self._with_directory(lambda: kept.slots.fence(epoch)))
        with self._name.translated():
            reading = await self._run(lambda: open_beside_writer(self._directory, key))
        if reading is None:
            raise RefusedError("NotFound", f"there is no checkpoint {key!r}", remedy="begin with the first state")
        return reading

    async def raise_epoch(self, key: str) -> int:
        """Fence all writers there were; the epoch of the one that asks."""
        with self._name.translated():
            slots = self._of(key).slots
            next_one = 1 + await self._run(lambda: slots.epoch)
        async with self._writing(key, next_one) as kept:
            return await self._run(lambda: self._with_directory(kept.slots.next_epoch))

    async def next_piece(self, pieces: Iterator[bytes]) -> bytes:
        """The next of `Reading.pieces`; empty at its end. Raises CheckpointReplacedError."""
        with self._name.translated():
            return await self._run(lambda: next(pieces, b""))

    async def delete(self, key: str, epoch: int) -> None:
        """Nothing is left of a key; no error when there was nothing. Raises StoreFencedError: a later epoch writes."""
        async with self._writing(key, epoch) as kept:
            await self._run(lambda: kept.slots.delete(epoch))

    def delete_below(self, prefix: str) -> None:
        """Delete the checkpoints of the key `prefix` and of all below `<prefix>/`; all there are when it is empty."""
        for key in [key for key in self._kept if not prefix or key == prefix or key.startswith(prefix + "/")]:
            kept = self._kept[key]
            if kept.users:
                kept.doomed = True
                kept.make_way(kept.floor)
                continue
            with self._name.translated():
                kept.slots.delete()
            self._count(kept, 0)
            del self._kept[key]

    def close(self) -> None:
        """Wait for what is under way. Blocking."""
        if self._workers is not None:
            self._workers.shutdown()

    async def _put_full(self, kept: _Kept, arriving: Arriving, pieces: AsyncIterator[bytes]) -> None:
        slots, draft = kept.slots, arriving.draft
        with self._room_for(arriving.length):
            writer = await self._run(lambda: self._with_directory(lambda: slots.begin(draft)))
            try:
                digest = await self._fill(writer, arriving, pieces)
                await self._run(lambda: slots.finish(writer, draft, digest))
            finally:
                await asyncio.shield(self._run(writer.abandon))

    async def _put_delta(self, kept: _Kept, arriving: Arriving, base: int, delta: bytes) -> None:
        with self._room_for(len(delta)):
            await self._run(lambda: kept.slots.append(arriving.draft, base, delta))

    async def _fill(self, writer: FullWriter, arriving: Arriving, pieces: AsyncIterator[bytes]) -> bytes:
        waiting, came = list[bytes](), 0
        async for piece in pieces:
            came += len(piece)
            _require_announced(came, arriving)
            waiting.append(piece)
            if sum(map(len, waiting)) >= PIECE_BYTES:
                await self._run(partial(_write_all, writer, waiting))
                waiting = []
        await self._run(partial(_write_all, writer, waiting))
        digest = writer.digest()
        _require_digest(digest, arriving)
        return digest

    @asynccontextmanager
    async def _writing(self, key: str, epoch: int) -> AsyncIterator[_Kept]:
        with self._name.translated():
            kept = self._of(key)
            kept.users += 1
            kept.make_way(epoch)
            try:
                async with kept.writing:
                    try:
                        yield kept
                    finally:
                        await self._settle(kept)
            finally:
                kept.users -= 1
                if kept.used == kept.users == 0:
                    del self._kept[key]

    @contextmanager
    def _room_for(self, byte_count: int) -> Iterator[None]:
        with self._quota.reservation() as reserved:
            # What is written over is counted as well while it is: for a moment there are both.
            reserved.extend(byte_count)
            yield

    def _of(self, key: str) -> _Kept:
        if key not in self._kept:
            kept = _Kept(Slots(self._directory, key, durable=self._durable), 0)
            self._count(kept, kept.slots.used_bytes)
            self._kept[key] = kept
        return self._kept[key]

    async def _settle(self, kept: _Kept) -> None:
        if kept.doomed:
            kept.doomed = False
            await self._run(kept.slots.delete)
        self._count(kept, await self._run(lambda: kept.slots.used_bytes))

    def _count(self, kept: _Kept, used: int) -> None:
        self._quota.change(used - kept.used)
        kept.used = used

    def _with_directory(self, work: Callable[[], Value]) -> Value:
        # Made when it is needed: most stores keep no checkpoint.
        if not self._directory.exists():
            self._directory.mkdir(mode=0o700, exist_ok=True)
            if self._durable:
                sync_directory(self._directory.parent)
        return work()

    def _keys(self) -> set[str]:
        if not self._directory.exists():
            return set()
        return {decoded_key(path.name.partition(".")[0]) for path in self._directory.iterdir()}

    async def _run(self, work: Callable[[], Value]) -> Value:
        if self._workers is None:
            self._workers = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="checkpoints")
        running = asyncio.get_running_loop().run_in_executor(self._workers, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # A thread cannot be stopped: the key's lock is held until it has done.
            await asyncio.wait({running})
            raise


@asynccontextmanager
async def _receiving(kept: _Kept, epoch: int) -> AsyncIterator[None]:
    if epoch < kept.floor:
        raise _out_of_date(kept, epoch)
    try:
        async with asyncio.timeout(None) as kept.receiving:
            yield
    except TimeoutError as error:
        raise _out_of_date(kept, epoch) from error
    finally:
        kept.receiving = None


def _out_of_date(kept: _Kept, epoch: int) -> StoreFencedError:
    if epoch < kept.floor:
        why = f"these checkpoints are written under epoch {kept.floor}, which is later than {epoch}"
    else:
        why = f"a later request of epoch {epoch} took the place of this one"
    return StoreFencedError(why, remedy="another process goes on with this state: end this one")


async def _gathered(pieces: AsyncIterator[bytes], arriving: Arriving) -> bytes:
    delta = bytearray()
    async for piece in pieces:
        delta += piece
        _require_announced(len(delta), arriving)
    _require_digest(checksum(memoryview(delta)), arriving)
    return bytes(delta)


def _write_all(writer: FullWriter, pieces: list[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)


def _require_announced(came: int, arriving: Arriving) -> None:
    if came > arriving.length:
        raise ProtocolError(f"more than the announced {arriving.length:,} bytes came", remedy="announce their length")


def _require_digest(digest: bytes, arriving: Arriving) -> None:
    if digest.hex() != arriving.digest:
        raise RefusedError(
            "DigestMismatch",
            f"the bytes that came have the checksum {digest.hex()} and not {arriving.digest}",
            remedy="send them again",
        )
