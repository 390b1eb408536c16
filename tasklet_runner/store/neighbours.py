"""Batches of files that change hands on one machine (`wire.neighbours`): linked by the store, and named to readers."""

import os
import secrets
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tasklet_runner.store.arrivals import Arrivals
from tasklet_runner.store.batches import infos
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.files import FileArea
from tasklet_runner.store.grants import Allowance
from tasklet_runner.store.index import Index, ObjectRow
from tasklet_runner.store.quota import Quota
from tasklet_runner.wire.batches import ObjectHead
from tasklet_runner.wire.digests import BLOCK_BYTES, CHECKSUM_BYTES
from tasklet_runner.wire.errors import ProtocolError, RefusedError
from tasklet_runner.wire.neighbours import MAX_HANDED_FILES, NOT_HERE, HandedFile, Place
from tasklet_runner.wire.store import ObjectInfo, checked_key

Value = TypeVar("Value")
Apply = Callable[[Sequence[ObjectRow]], Awaitable[object]]


class Neighbours:
    """Those of one store. `run` runs a blocking function in its own thread, `apply` writes rows."""

    def __init__(self, name: StoreName, index: Index, files: FileArea, quota: Quota, apply: Apply) -> None:
        self._name = name
        self._index = index
        self._files = files
        self._quota = quota
        self._apply = apply

    async def take(self, handed: Sequence[HandedFile], allowance: Allowance) -> tuple[ObjectInfo, ...]:
        """Link the files, and make all of them visible at once.

        Raises what `DiskStore.receive_batch` does; RefusedError (NotHere) when the files cannot be linked, the store is
        to survive a power cut, or one of the objects is there already.
        """
        if self._files.durable:
            raise not_here("the store is durable, and files of others are not")
        _require_well_formed(handed)
        with self._name.translated(), self._quota.reservation() as reserved:
            arriving = Arrivals(self._index, allowance, reserved)
            for item in handed:
                if arriving.judge(ObjectHead(item.key, item.size, item.checksum.hex())) is not None:
                    raise not_here(f"object {item.key!r} is there already")
            links = LinkedFiles(self._files)
            try:
                rows = links.take(handed)
                arriving.fresh(rows)
                reserved.release()
                await self._apply(rows)
            except BaseException:
                links.abandon()
                raise
        return infos(rows)

    def places(self, keys: Sequence[str]) -> tuple[Place, ...]:
        """Where these objects, which are there, stand. Raises RefusedError (NotHere) when one is no file's."""
        with self._name.translated():
            rows = self._index.find_many(keys)
        return tuple(self._place(rows.get(key), key) for key in keys)

    def _place(self, row: ObjectRow | None, key: str) -> Place:
        if row is None or row.file is None:
            raise not_here(f"object {key!r} stands in no file")
        return Place(row.size, row.digest, self._files.path_of(row.file), row.start)


class LinkedFiles:
    """A directory of links, one for each object of a batch. Blocking: some microseconds for each."""

    def __init__(self, files: FileArea) -> None:
        self._token = secrets.token_hex(16)
        self._incoming = files.incoming / self._token
        self._complete = Path(files.path_of(self._token))

    def take(self, handed: Sequence[HandedFile]) -> list[ObjectRow]:
        """The rows; their files are complete. Raises RefusedError (NotHere)."""
        try:
            os.mkdir(self._incoming, 0o700)
            for number, item in enumerate(handed):
                _link(item, f"{self._incoming}/{number}")
            self._complete.parent.mkdir(exist_ok=True)
            os.rename(self._incoming, self._complete)
        except OSError as error:
            raise not_here(str(error)) from error
        return [
            ObjectRow(item.key, item.size, item.checksum, f"{self._token}/{number}", item.blocks or None)
            for number, item in enumerate(handed)
        ]

    def abandon(self) -> None:
        """Leave nothing behind."""
        for directory in (self._incoming, self._complete):
            with suppress(FileNotFoundError):
                for name in os.listdir(directory):
                    os.unlink(directory / name)
                os.rmdir(directory)


def not_here(why: str) -> RefusedError:
    """Bytes have to be sent instead."""
    return RefusedError(NOT_HERE, f"files cannot change hands: {why}", remedy="put or get the bytes")


def _link(item: HandedFile, target: str) -> None:
    os.link(item.path, target, follow_symlinks=False)
    status = os.lstat(target)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
        raise not_here(f"{item.path} is no regular file of the store's user")
    if status.st_size != item.size:
        raise ProtocolError(f"{item.path} has {status.st_size:,} bytes, announced were {item.size:,}")


def _require_well_formed(handed: Sequence[HandedFile]) -> None:
    if len(handed) > MAX_HANDED_FILES:
        raise RefusedError("TooLarge", f"{len(handed):,} files in one request", remedy="send several requests")
    for item in handed:
        checked_key(item.key)
        if "\0" in item.path:
            raise ProtocolError(f"{item.path[:200]!r} names no file", remedy="put its bytes")
        blocks = -(-item.size // BLOCK_BYTES) * CHECKSUM_BYTES if item.size > BLOCK_BYTES else 0
        if item.size < 1 or len(item.checksum) != CHECKSUM_BYTES or len(item.blocks) != blocks:
            raise ProtocolError(f"object {item.key!r}: its size and its checksums do not fit", remedy="put its bytes")
    if len({item.key for item in handed}) < len(handed):
        raise ProtocolError("an object stands twice in the batch", remedy="each key once")
