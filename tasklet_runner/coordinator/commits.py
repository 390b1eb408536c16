"""Writes results into the store in batches: one transaction for what has come in some milliseconds."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.lanes import Lane
from tasklet_runner.store.protocol import CommitRecord, JobStore, NewObject

GATHER_SECONDS = 0.005
MAX_PENDING_COMMITS = 20_000
MAX_PENDING_BYTES = 64 * 1024 * 1024
"""Above these the dispatcher waits for the store."""


@dataclass(frozen=True, slots=True)
class Done:
    """A chunk with the record that makes its end visible, and its objects (none when a member put them)."""

    lane: Lane
    chunk: Chunk
    commit: CommitRecord
    objects: tuple[NewObject, ...] = ()


@dataclass
class _Batch:
    done: list[Done] = field(default_factory=list)
    size: int = 0


class CommitWriter:
    """Takes finished chunks and tells, by `on_written`, when a batch of them is in the store.

    `more_coming`: whether slots are at work, so that a batch is worth a wait; the last results of a wave are not kept
    waiting.
    """

    def __init__(self, store: JobStore, on_written: Callable[[list[Done]], Awaitable[None]]) -> None:
        self.more_coming: Callable[[], bool] = lambda: True
        self._store = store
        self._on_written = on_written
        self._next = _Batch()
        self._some = asyncio.Event()

    @property
    def congested(self) -> bool:
        """True when the store does not keep up."""
        return len(self._next.done) >= MAX_PENDING_COMMITS or self._next.size >= MAX_PENDING_BYTES

    def add(self, done: Done) -> None:
        """Write this chunk with the next batch."""
        self._next.done.append(done)
        for stored in done.objects:
            self._next.size += len(stored.data)
        self._some.set()

    async def run(self) -> None:
        """Write batches for ever. Raises StoreError."""
        while True:
            await self._some.wait()
            if self.more_coming():
                await asyncio.sleep(GATHER_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what is pending now. Raises StoreError."""
        self._some.clear()
        batch, self._next = self._next, _Batch()
        if batch.done:
            objects = [stored for done in batch.done for stored in done.objects]
            await self._store.write(objects, [done.commit for done in batch.done])
            await self._on_written(batch.done)
