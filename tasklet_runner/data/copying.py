"""A copy of a run's outputs at a URI: object by object, each at once, and `_SUCCESS` when all are there.

`_SUCCESS` is the sign that MapReduce's and Spark's committers leave: a JSON document here, that says what belongs to
the copy. It is taken away before anything else is written, so that it never stands beside a half copy.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from tasklet_runner.data.access import Access
from tasklet_runner.data.failures import is_denied, reading, writing
from tasklet_runner.data.found import Storage
from tasklet_runner.data.storages import Storages
from tasklet_runner.plan.types import Layout, Plan
from tasklet_runner.store.deliveries import deliveries
from tasklet_runner.store.protocol import ObjectInfo, Outputs, all_commits
from tasklet_runner.store.targets import Claims
from tasklet_runner.wire.errors import LeaseGridError, ResultsError

MARKER = "_SUCCESS"
PIECE_BYTES = 1024 * 1024
_AT_ONCE = 8
"""So many objects are written side by side: a bucket answers in milliseconds, a chunk's output is often smaller."""

_LOOK_SECONDS = 1.0


class CopiedObject(msgspec.Struct, frozen=True):
    """One object of a copy: its path below the target, and its bytes."""

    path: str
    bytes: int


class CopyReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied: the content of `_SUCCESS`."""

    kind: str
    namespace: str
    name: str
    uri: str
    layout: str
    files: int
    bytes: int
    objects: tuple[CopiedObject, ...] = ()


def check_target(plan: Plan, access: Access) -> None:
    """Raises InputError when the copy could not be begun: an unknown scheme, a package that is missing, no credentials,
    a server that does not answer. Whether one may write there shows when it is written.
    """
    root = plan.output.copy_to.rstrip("/")
    if not root:
        return
    with reading(f"spec.output.copyTo {root}"):
        storage = Storages(access).of(root)
        try:
            storage.stat(f"{root}/{MARKER}")
        except Exception as error:
            # Who may write may not always read, and is told the same of what is not there.
            if not isinstance(error, FileNotFoundError) and not is_denied(error):
                raise


class CopiedStore(Outputs, Protocol):
    """What is read of a store whose outputs are copied."""

    async def stat(self, key: str) -> ObjectInfo:
        """See `JobStore.stat`."""
        ...


async def copy_outputs(store: CopiedStore, plan: Plan, access: Access) -> CopyReceipt:
    """Copy all outputs that are handed over to `plan.output.copy_to`; in flat memory but for the names.

    What stands there is replaced where a path is the same, and else left alone.

    Raises:
        ResultsError: two chunks claim one path (before anything is written); the target cannot be written. Then there
            is no `_SUCCESS`; what was written before stays, and the next copy replaces it.
        StoreError: an object cannot be read.
    """
    await _check(store, plan)
    root = plan.output.copy_to.rstrip("/")
    copier = _Copier(store, await asyncio.to_thread(_begin, root, access), root)
    await copier.run(plan)
    objects = tuple(sorted(copier.objects, key=lambda one: one.path))
    receipt = CopyReceipt(
        kind=plan.kind.value,
        namespace=plan.namespace,
        name=plan.name,
        uri=root,
        layout=plan.output.layout.value,
        files=len(objects),
        bytes=sum(one.bytes for one in objects),
        objects=objects,
    )
    await asyncio.to_thread(_end, copier.storage, root, receipt)
    return receipt


def _begin(root: str, access: Access) -> Storage:
    with writing(f"the copy to {root}"):
        storage = Storages(access).of(root)
        storage.remove(f"{root}/{MARKER}")
    return storage


def _end(storage: Storage, root: str, receipt: CopyReceipt) -> None:
    with writing(f"{root}/{MARKER}"):
        storage.write(f"{root}/{MARKER}", (msgspec.json.format(msgspec.json.encode(receipt)),))


async def _visible(store: Outputs, plan: Plan) -> AsyncGenerator[tuple[int, str, str]]:
    """(chunk, object key, path) of all that is handed over."""
    for delivery in deliveries(plan):
        async for record in all_commits(store, delivery.stage):
            for key, path in delivery.targets(record):
                yield record.index, key, path


async def _check(store: Outputs, plan: Plan) -> None:
    claims, last = Claims(), -1
    async for index, _, path in _visible(store, plan):
        if plan.output.layout is Layout.BY_INDEX and index != last:
            # Chunks have directories of their own: a chunk can only collide with itself.
            claims, last = Claims(), index
        claims.add(path, index)
        if path == MARKER:
            raise ResultsError(
                f"chunk {index} has an output named {MARKER}, which says that a copy is whole; nothing was written",
                remedy="name it otherwise, or use spec.output.layout: ByIndex",
            )


@dataclass
class _Copier:
    """Writes objects side by side. `objects`: those that are written.

    Its threads are its own: they wait for the store, which may need one of the event loop's to answer.
    """

    store: CopiedStore
    storage: Storage
    root: str
    objects: list[CopiedObject] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_AT_ONCE, "copy"))

    async def run(self, plan: Plan) -> None:
        taking = asyncio.Lock()
        try:
            async with aclosing(_visible(self.store, plan)) as work, asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._work(work, taking))
        except* LeaseGridError as errors:
            raise errors.exceptions[0] from None
        finally:
            self._stopped.set()
            self._threads.shutdown(wait=False, cancel_futures=True)
            # What is being written ends before anybody is told how the copy ended.
            await asyncio.to_thread(self._threads.shutdown)

    async def _work(self, work: AsyncIterator[tuple[int, str, str]], taking: asyncio.Lock) -> None:
        while True:
            async with taking:
                found = await anext(work, None)
            if found is None:
                return
            _, key, path = found
            await self._copy(key, path)

    async def _copy(self, key: str, path: str) -> None:
        first = await self.store.read(key, 0, PIECE_BYTES)
        size = len(first) if len(first) < PIECE_BYTES else (await self.store.stat(key)).size
        loop = asyncio.get_running_loop()
        pieces = self._pieces(key, first, size, loop)
        await loop.run_in_executor(self._threads, self._write, f"{self.root}/{path}", pieces)
        self.objects.append(CopiedObject(path, size))

    def _write(self, location: str, pieces: Iterator[bytes]) -> None:
        with writing(location):
            self.storage.write(location, pieces)

    def _pieces(self, key: str, first: bytes, size: int, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
        """The object's bytes, for a thread: the store itself answers in the loop."""
        yield first
        done = len(first)
        while done < size:
            data = self._answer(asyncio.run_coroutine_threadsafe(self.store.read(key, done, PIECE_BYTES), loop))
            done += len(data)
            yield data

    def _answer(self, reading: Future[bytes]) -> bytes:
        """What the store answers, unless the copy ends before: then the loop may never answer."""
        while not self._stopped.is_set():
            if wait([reading], _LOOK_SECONDS).done:
                return reading.result()
        raise InterruptedError("the copy was stopped")
