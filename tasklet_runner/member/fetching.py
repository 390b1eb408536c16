"""Inputs that a member gets itself: objects of stores, put one after the other into a file before their task begins."""

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from tasklet_runner.client.ahead import read_batch
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.member.larder import Larder, write_all
from tasklet_runner.member.merging import Ahead
from tasklet_runner.member.progress import Traffic
from tasklet_runner.member.room import FetchRoom
from tasklet_runner.wire.errors import FaultError, InputError, LeaseGridError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Fetch


@dataclass
class Pantry:
    """What all inputs of one lease share: where they stand, their room, what was fetched ahead of them, connections to
    stores, and who counts.
    """

    directory: Path
    room: FetchRoom
    larder: Larder
    stores: StoreConnections
    traffic: Traffic


class Intake:
    """One input on its way into `path`. `ready` when it is there whole; with a `fault` it will never be.

    `leave` ends it at any time: what is under way is cancelled, the file is deleted, its room given back.
    """

    def __init__(self, pantry: Pantry, path: Path, fetches: tuple[Fetch, ...]) -> None:
        self.path = path
        self.ready = False
        self.fault: Fault | None = None
        self._pantry = pantry
        self._fetches = fetches
        self._ahead: Ahead | None = None
        self._taken = 0
        self._counted = 0
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def start(self, then: Callable[[], None]) -> None:
        """Begin, if it has not begun; `then` is called when it is ready or has failed, and not when it was left."""
        if self._task is None and not self._ended:
            self._task = asyncio.create_task(self._run(then))

    def leave(self) -> asyncio.Task[None] | None:
        """End it; the task, if any, that must have ended before nothing is left of it."""
        self.ready = False
        if self._task is None or self._ended:
            self._ended = True
            self._clear()
            return None
        self._ended = True
        # The clearing cannot be the task's own: one that is cancelled before its first step runs nothing at all.
        self._task.add_done_callback(lambda _: self._clear())
        self._task.cancel()
        return self._task

    async def _run(self, then: Callable[[], None]) -> None:
        try:
            await self._fetch()
            self.ready = True
        except FaultError as error:
            self.fault = error.fault
        self._ended = True
        then()

    async def _fetch(self) -> None:
        while True:
            try:
                self._pantry.traffic.fetched_bytes += await self._write()
            except _NoRoomError as error:
                # With empty hands, or two that wait for each other's room would wait for ever.
                self._clear()
                await self._pantry.room.take(error.wanted)
                self._taken = error.wanted
            else:
                return

    async def _write(self) -> int:
        """Write all of it; the bytes that were fetched for it now."""
        self._counted = 0
        try:
            ahead = self._ahead = Ahead(self._pantry.larder)
            ahead.claim(self._fetches)
            with self.path.open("wb", buffering=0) as file:
                self._admit(ahead.size)
                for fetch in self._fetches:
                    await (self._merge(fetch, ahead, file) if ahead else self._append(fetch, file))
                size = file.tell() - ahead.size
            ahead.close()
        except OSError as error:
            raise FaultError(_own_fault(error)) from error
        return size

    async def _append(self, fetch: Fetch, file: FileIO) -> None:
        with _worded(fetch):
            await self._pantry.stores.append_batch(fetch.endpoint, fetch.grant, fetch.keys, file, self._admit)

    async def _merge(self, fetch: Fetch, ahead: Ahead, file: FileIO) -> None:
        missing, keys = ahead.missing(fetch), iter(fetch.keys)
        await ahead.copy(fetch.endpoint, keys, file)
        if not missing:
            return
        with _worded(fetch):
            some = read_batch(self._pantry.stores, fetch.endpoint, fetch.grant, missing, self._admit)
            async with aclosing(some) as parts:
                async for part in parts:
                    if isinstance(part, memoryview):
                        write_all(file, part)
                    else:
                        await ahead.copy(fetch.endpoint, keys, file)

    def _admit(self, size: int) -> None:
        self._counted += size
        missing = self._counted - self._taken
        if missing > 0:
            if not self._pantry.room.try_take(missing):
                raise _NoRoomError(self._counted)
            self._taken = self._counted

    def _clear(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        taken, self._taken = self._taken, 0
        if taken:
            self._pantry.room.give_back(taken)
        self.path.unlink(missing_ok=True)


class _NoRoomError(Exception):
    """There is no room for `wanted` bytes in all at this moment."""

    def __init__(self, wanted: int) -> None:
        super().__init__(wanted)
        self.wanted = wanted


@contextmanager
def _worded(fetch: Fetch) -> Iterator[None]:
    """Whatever goes wrong with a store as the task's fault. OSError passes: that is the member's own disk."""
    try:
        yield
    except InputError as error:
        raise FaultError(_own_fault(error.__cause__ or error)) from error
    except LeaseGridError as error:
        if isinstance(error, FaultError):
            raise
        raise FaultError(_store_fault(fetch.endpoint, error.cause, error.remedy)) from error
    except ValueError as error:
        raise FaultError(_store_fault(fetch.endpoint, f"no URL can be made of it: {error}")) from error


def _store_fault(endpoint: str, cause: str, remedy: str = "") -> Fault:
    """Disconnected, whatever the store said: the task did nothing wrong, and its objects may be elsewhere by now."""
    return Fault(
        kind=FaultKind.DISCONNECTED,
        message=f"the input could not be fetched from the store at {endpoint}: {cause}",
        remedy=remedy or "the store may have ended: see whether its lease still stands",
    )


def _own_fault(error: BaseException) -> Fault:
    """Scratch is full, which is this input's fate alone, or fails, which is the member's."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Fault(
        kind=FaultKind.CAPACITY_EXCEEDED if full else FaultKind.IO_ERROR,
        message=f"the fetched input cannot be written to scratch: {error}",
        remedy="raise shuffle.partitions, so that each is smaller, or give members a larger scratch"
        " (resources.memory of the pool)",
    )
