"""The visible outputs of a stage as files in a directory."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.plan.types import Layout
from tasklet_runner.store.exporting import ResultsDirectory
from tasklet_runner.store.protocol import Outputs, all_commits
from tasklet_runner.store.targets import Claims, targets

PIECE_BYTES = 1024 * 1024
BATCH_FILES = 256
BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class ExportReport:
    """What was written, and of how many chunks that succeeded."""

    files: int
    byte_count: int
    chunks: int = 0


async def export_results(store: Outputs, stage: str, directory: Path, layout: Layout) -> ExportReport:
    """Write the outputs of every chunk of `stage` that succeeded; in flat memory but for the names.

    ByIndex: `<index>/stdout` and `<index>/<file>`; ByPath: files of /out at their own paths and
    `<CHUNK_PATH>.stdout` (`<index>.stdout` for a chunk that is no file). Each file is replaced atomically.

    It survives a power cut when the call returns, so that the store may be deleted. What an export that was killed had
    half written is removed.

    Raises:
        ResultsError: two chunks claim one path, a name would leave the directory (both before anything is written),
            or the directory cannot be written or is full.
        StoreError: an object cannot be read.
    """
    await _check(store, stage, layout)
    chunks = 0
    with await asyncio.to_thread(ResultsDirectory, directory) as results:
        exporter = _Exporter(store, results)
        async for record in all_commits(store, stage):
            chunks += record.fault is None
            for key, path in targets(record, layout):
                await exporter.add(key, path)
        await exporter.flush()
        await asyncio.to_thread(results.sync)
    return ExportReport(exporter.files, exporter.byte_count, chunks)


async def _check(store: Outputs, stage: str, layout: Layout) -> None:
    claims = Claims()
    async for record in all_commits(store, stage):
        if layout is Layout.BY_INDEX:
            # Chunks have directories of their own: a chunk can only collide with itself.
            claims = Claims()
        for _, path in targets(record, layout):
            claims.add(path, record.index)


class _Exporter:
    """Small objects are gathered and written by batches, so that the event loop hands over to a thread rarely."""

    def __init__(self, store: Outputs, directory: ResultsDirectory) -> None:
        self.files = 0
        self.byte_count = 0
        self._store = store
        self._directory = directory
        self._batch: list[tuple[str, bytes]] = []
        self._batch_bytes = 0

    async def add(self, key: str, path: str) -> None:
        data = await self._store.read(key, 0, PIECE_BYTES)
        self.files += 1
        self.byte_count += len(data)
        if len(data) == PIECE_BYTES:
            await self._stream(key, path, data)
            return
        self._batch.append((path, data))
        self._batch_bytes += len(data)
        if len(self._batch) >= BATCH_FILES or self._batch_bytes >= BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        await asyncio.to_thread(self._directory.write, batch)

    async def _stream(self, key: str, path: str, data: bytes) -> None:
        written = 0
        with self._directory.open(path) as descriptor:
            while data:
                await asyncio.to_thread(self._directory.append, descriptor, data)
                written += len(data)
                data = await self._store.read(key, written, PIECE_BYTES)
        self.byte_count += written - PIECE_BYTES
