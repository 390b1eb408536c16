"""Where a stage's chunks come from, as batches."""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from tasklet_runner.coordinator import inputs, shards
from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.inputs import OwnInput, Packing
from tasklet_runner.plan.types import CountInput, FilesInput, ItemsInput, LinesInput

BATCH_CHUNKS = 512
BATCH_BYTES = 4 * 1024 * 1024


class ChunkSource(Protocol):
    """Yields chunks in index order, in batches that fit into memory."""

    total: int
    """How many there are in all, -1 while unknown."""

    async def batch(self) -> list[Chunk]:
        """The next chunks, none at the end. Raises InputError when the input cannot be read on."""
        ...


class OwnSource:
    """Chunks of an input that the coordinator reads itself. `blocking`: reading waits for a disk or network, so it runs
    in a thread.
    """

    def __init__(self, chunks: Iterator[Chunk], total: int, *, blocking: bool) -> None:
        self.total = total
        self._chunks = chunks
        self._blocking = blocking

    async def batch(self) -> list[Chunk]:
        """The next chunks, none at the end."""
        if self._blocking:
            return await asyncio.to_thread(take, self._chunks)
        return take(self._chunks)


def take(chunks: Iterator[Chunk]) -> list[Chunk]:
    """The next chunks, as many as a batch holds."""
    batch: list[Chunk] = []
    size = 0
    for chunk in islice(chunks, BATCH_CHUNKS):
        batch.append(chunk)
        size += chunk.size
        if size >= BATCH_BYTES:
            break
    return batch


def open_source(given: OwnInput, packing: Packing) -> ChunkSource:
    """The chunks of an input. Lists files and opens texts at once, so that what cannot be read is known before
    anything starts.

    Raises:
        InputError: naming the file and what to do.
    """
    match given:
        case CountInput():
            return OwnSource(inputs.count(given), given.count, blocking=False)
        case ItemsInput(shards=0):
            return OwnSource(inputs.items(given, packing), len(given.items), blocking=False)
        case ItemsInput():
            return OwnSource(shards.item_shards(given, packing), given.shards, blocking=False)
        case LinesInput():
            mark = inputs.check_lines(given, packing.storages)
            if given.shards:
                return OwnSource(shards.line_shards(given, packing, mark), given.shards, blocking=True)
            return OwnSource(inputs.lines(given, packing, mark), -1, blocking=True)
        case FilesInput():
            return _files(given, packing)


def _files(given: FilesInput, packing: Packing) -> ChunkSource:
    found = inputs.find_files(given, packing.storages)
    if given.shards:
        return OwnSource(shards.file_shards(found, given.shards, packing), given.shards, blocking=True)
    return OwnSource(inputs.files(found, packing), len(found), blocking=True)
