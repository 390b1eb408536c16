"""Where checkpoints of one key are kept: a directory of this machine, or a store that is leased."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.checkpoints import HolderCheckpoints
from tasklet_runner.client.store_calls import HolderCalls
from tasklet_runner.client.store_sessions import StoreSession
from tasklet_runner.client.transport import base_url
from tasklet_runner.durable.disk import Buffer
from tasklet_runner.durable.locks import FileLock
from tasklet_runner.durable.reading import CheckpointReplacedError
from tasklet_runner.durable.slots import Draft, Slots
from tasklet_runner.wire.checkpoints import encoded_key
from tasklet_runner.wire.errors import CheckpointDamagedError, StoreError

Value = TypeVar("Value")

READ_TRIES = 10
"""A reader beside a writer begins again when what it reads is replaced."""


@dataclass(frozen=True)
class LeasedStore:
    """A Memory or Block member under lease: its endpoint, the lease's capability, the holder's private key."""

    endpoint: str
    capability: str
    holder_key: Ed25519PrivateKey = field(repr=False)


Store = str | Path | LeasedStore
"""A directory, or a leased store."""


class Kept(NamedTuple):
    """A checkpoint as it was found. `skipped`: newer ones that are not whole, in words."""

    generation: int
    payload: bytearray
    skipped: tuple[str, ...] = ()


class Target(Protocol):
    """One key in one store. Blocking; every call raises what its store says, as LeaseGridError."""

    @property
    def epoch(self) -> int:
        """The writer's; 0 before `open`."""
        ...

    def open(self) -> None:
        """Be its one writer: all there were are fenced."""
        ...

    def read(self) -> Kept | None:
        """The newest checkpoint, or None before the first one."""
        ...

    def put(self, generation: int, parts: tuple[Buffer, ...]) -> None:
        """Keep a whole payload, given in parts; durable when the call returns."""
        ...

    def put_delta(self, generation: int, delta: bytes, size: int) -> None:
        """Keep what changed since `generation` - 1; durable when the call returns. `size`: of the payload by now."""
        ...

    def close(self) -> None:
        """Let the next writer in. A second call does nothing."""
        ...


def target_of(store: Store, key: str) -> Target:
    """The target; nothing is opened yet. Raises ProtocolError for a key that can be none."""
    return StoreTarget(store, key) if isinstance(store, LeasedStore) else DirectoryTarget(Path(store), key)


class DirectoryTarget:
    """Slots in a directory, locked for one writer; read without the lock. Raises StateDirectoryError: who has it."""

    def __init__(self, directory: Path, key: str) -> None:
        self.epoch = 0
        self._directory = directory
        self._key = key
        self._stem = encoded_key(key)
        self._slots = Slots(directory, key)
        self._lock: FileLock | None = None

    def open(self) -> None:
        """See `Target`."""
        with self._translated():
            self._directory.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                what = f"the checkpoint {self._key!r} in {self._directory}"
                self._lock = FileLock(self._directory / f"{self._stem}.lock", what)
            self.epoch = self._slots.next_epoch()

    def read(self) -> Kept | None:
        """See `Target`."""
        for _ in range(READ_TRIES):
            with suppress(CheckpointReplacedError, CheckpointDamagedError), self._translated():
                return self._read()
        with self._translated():
            return self._read()

    def put(self, generation: int, parts: tuple[Buffer, ...]) -> None:
        """See `Target`."""
        draft = Draft(generation, self.epoch, sum(map(len, parts)))
        with self._translated():
            writer = self._slots.begin(draft)
            try:
                for part in parts:
                    writer.write(part)
                self._slots.finish(writer, draft, writer.digest())
            finally:
                writer.abandon()

    def put_delta(self, generation: int, delta: bytes, size: int) -> None:
        """See `Target`."""
        with self._translated():
            self._slots.append(Draft(generation, self.epoch, size), generation - 1, delta)

    def close(self) -> None:
        """See `Target`."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the checkpoints of {self._key!r} in {self._directory} fail: {error}",
                remedy="free space there, check the rights and the disk; the last good checkpoint stands",
            ) from error

    def _read(self) -> Kept | None:
        reading = self._slots.open()
        if reading is None:
            return None
        with reading:
            payload, at = bytearray(reading.size), 0
            for piece in reading.pieces():
                payload[at : at + len(piece)] = piece
                at += len(piece)
        return Kept(reading.generation, payload, self._slots.skipped)


class StoreTarget:
    """The checkpoint doors of a leased member, called from a loop in a thread of its own."""

    def __init__(self, store: LeasedStore, key: str) -> None:
        encoded_key(key)
        self._store = store
        self._key = key
        self._loop = _LoopThread()
        self._calls: HolderCalls | None = None
        self._checkpoints: HolderCheckpoints | None = None

    @property
    def epoch(self) -> int:
        """The writer's."""
        return self._checkpoints.epoch if self._checkpoints is not None else 0

    def open(self) -> None:
        """See `Target`."""
        self._loop.run(self._at().open())

    def read(self) -> Kept | None:
        """See `Target`."""
        found = self._loop.run(self._at().get())
        return None if found is None else Kept(found[0], bytearray(found[1]))

    def put(self, generation: int, parts: tuple[Buffer, ...]) -> None:
        """See `Target`."""
        self._loop.run(self._at().put(generation, *parts))

    def put_delta(self, generation: int, delta: bytes, size: int) -> None:
        """See `Target`."""
        self._loop.run(self._at().put_delta(generation, delta, size))

    def close(self) -> None:
        """See `Target`."""
        calls, self._calls, self._checkpoints = self._calls, None, None
        if calls is not None:
            self._loop.run(calls.close())
        self._loop.close()

    def _at(self) -> HolderCheckpoints:
        if self._checkpoints is None:
            session = StoreSession(
                base_url(self._store.endpoint, "store"), self._store.capability, self._store.holder_key
            )
            self._calls = HolderCalls(self._store.endpoint, session)
            self._checkpoints = HolderCheckpoints(self._calls, self._key)
        return self._checkpoints


class _LoopThread:
    """Runs coroutines for a caller that has no loop, or has one of its own that must not know."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="checkpoints", daemon=True)
            self._thread.start()
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            # An interrupted caller leaves nothing behind that still writes.
            running.cancel()
            raise

    def close(self) -> None:
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
