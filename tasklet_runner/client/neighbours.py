"""Files that change hands with a store of this machine, in flat memory and without threads; see `wire.neighbours`."""

import asyncio
import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from tasklet_runner.client.batches import OBJECTS_AT_ONCE, Source
from tasklet_runner.client.transfers import write_all
from tasklet_runner.wire.digests import BLOCK_BYTES, BlockSums, Checksum, hasher_like
from tasklet_runner.wire.errors import InputError, RefusedError, StoreError, UnreachableError
from tasklet_runner.wire.neighbours import MAX_HANDED_FILES, NOT_HERE, HandedFile, Place

WORTH_BYTES = 16 * 1024
"""Files of fewer bytes on average are put as bytes: small objects stand better in the store's index."""

_PIECE_BYTES = 256 * 1024
_YIELD_BYTES = 4 * 1024 * 1024


def may_be_near(endpoint: str) -> bool:
    """Whether it is worth asking: a unix socket, and no TLS, which leads elsewhere."""
    return endpoint.startswith("unix://") and "#" not in endpoint


def is_not_here(error: BaseException) -> bool:
    """Whether the store wants bytes instead."""
    return isinstance(error, RefusedError) and error.reason == NOT_HERE


async def handed_files(objects: Sequence[tuple[str, Source]]) -> tuple[HandedFile, ...]:
    """The files with their checksums; none when they are not worth it. Raises InputError."""
    paths = [(key, source) for key, source in objects if isinstance(source, Path)]
    if len(paths) < len(objects) or not 0 < len(objects) <= MAX_HANDED_FILES:
        return ()
    buffer = memoryview(bytearray(_PIECE_BYTES))
    found = []
    try:
        if sum(os.stat(path).st_size for _, path in paths) < WORTH_BYTES * len(paths):
            return ()
        for number, (key, path) in enumerate(paths, start=1):
            if number % OBJECTS_AT_ONCE == 0:
                await asyncio.sleep(0)
            found.append(await _measured(key, path, buffer))
    except OSError as error:
        raise InputError(f"cannot read {error.filename} to put it into the store: {error}") from error
    return tuple(found) if all(item.size for item in found) else ()


async def _measured(key: str, path: Path, buffer: memoryview) -> HandedFile:
    size, whole, blocks = 0, Checksum(), BlockSums()
    with FileIO(path) as file:
        large = os.fstat(file.fileno()).st_size > BLOCK_BYTES
        while count := file.readinto(buffer):
            size += count
            whole.update(buffer[:count])
            if large:
                blocks.add(buffer[:count])
            if size % _YIELD_BYTES == 0:
                await asyncio.sleep(0)
    return HandedFile(key, size, whole.digest(), blocks.finish() if large else b"", str(path))


class PlacedObjects:
    """Objects that are copied from where they stand, one after the other. Raises OSError when the first is not here."""

    def __init__(self, endpoint: str, keys: Sequence[str], places: Sequence[Place]) -> None:
        self._endpoint = endpoint
        self._objects = list(zip(keys, places, strict=True))
        self.size = sum(place.size for place in places)
        if places:
            os.close(os.open(places[0].path, os.O_RDONLY | os.O_CLOEXEC))

    async def append(self, file: FileIO) -> None:
        """Write them where the file stands.

        Raises InputError when it cannot be written, StoreError for bytes that are not those that were put,
        UnreachableError when the store has ended meanwhile.
        """
        buffer = memoryview(bytearray(_PIECE_BYTES))
        copied = 0
        for number, (key, place) in enumerate(self._objects, start=1):
            try:
                with FileIO(place.path) as source:
                    await self._copy(key, place, source.fileno(), file, buffer)
            except OSError as error:
                raise self._gone(key, error) from error
            copied += place.size
            if copied >= _YIELD_BYTES or number % OBJECTS_AT_ONCE == 0:
                copied = 0
                await asyncio.sleep(0)

    async def _copy(self, key: str, place: Place, source: int, file: FileIO, buffer: memoryview) -> None:
        hasher, at, end = hasher_like(place.digest), place.start, place.start + place.size
        while at < end:
            count = os.preadv(source, [buffer[: end - at]], at)
            if not count:
                break
            at += count
            hasher.update(buffer[:count])
            write_all(file, buffer[:count])
            if (at - place.start) % _YIELD_BYTES == 0:
                await asyncio.sleep(0)
        if hasher.digest() != place.digest:
            raise StoreError(
                f"object {key!r} of {self._endpoint} has other bytes than were put: its checksum differs",
                remedy="check the disk; run the job anew, for its outputs cannot be trusted",
            )

    def _gone(self, key: str, error: OSError) -> UnreachableError:
        return UnreachableError(
            f"the store at {self._endpoint} does not let {key!r} be read any more: {error}",
            remedy="it may have ended; read the lease's status",
        )
