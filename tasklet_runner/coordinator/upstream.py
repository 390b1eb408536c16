"""Inputs that are the outputs of earlier stages: all in one chunk, or a chunk for each of theirs."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tasklet_runner.coordinator.archives import ArchiveWriter
from tasklet_runner.coordinator.blobs import BlobWriter
from tasklet_runner.coordinator.chunk import MAX_INLINE_INPUT_BYTES, Chunk
from tasklet_runner.coordinator.feeding import BATCH_BYTES, BATCH_CHUNKS, ChunkSource
from tasklet_runner.coordinator.inputs import Packing
from tasklet_runner.plan.types import StageInput
from tasklet_runner.store.protocol import CommitRecord, JobStore, all_commits
from tasklet_runner.wire.work import BLOB_PIECE_BYTES

STDOUT = "stdout"


@dataclass(frozen=True)
class Upstream:
    """The visible outputs of some stages, in the order of the stages and of their indexes."""

    store: JobStore
    stages: tuple[str, ...]

    async def outputs(self) -> AsyncIterator[CommitRecord]:
        """The commit records of the chunks that succeeded."""
        for stage in self.stages:
            async for commit in all_commits(self.store, stage):
                if commit.fault is None:
                    yield commit

    async def copy(self, key: str, write: Callable[[bytes], object]) -> None:
        """All bytes of an object, in pieces."""
        offset = 0
        while data := await self.store.read(key, offset, BLOB_PIECE_BYTES):
            write(data)
            offset += len(data)
            if len(data) < BLOB_PIECE_BYTES:
                return

    def place(self, commit: CommitRecord) -> str:
        """Where the files of a chunk stand below /in: `<index>`, or `<stage>/<index>` when there are several stages."""
        return str(commit.index) if len(self.stages) == 1 else f"{commit.stage}/{commit.index}"


def open_upstream(given: StageInput, store: JobStore, packing: Packing) -> ChunkSource:
    """The chunks of an input that earlier stages made."""
    upstream = Upstream(store, given.stages)
    return GatherSource(upstream, packing) if given.gather else PerChunkSource(upstream, packing)


class GatherSource:
    """One chunk: stdin is every stdout in index order, /in has every file."""

    def __init__(self, upstream: Upstream, packing: Packing) -> None:
        self.total = 1
        self._upstream = upstream
        self._packing = packing
        self._made = False

    async def batch(self) -> list[Chunk]:
        """The one chunk, then none."""
        if self._made:
            return []
        self._made = True
        return [await self._gather()]

    async def _gather(self) -> Chunk:
        # The length of stdin stands before its bytes in an archive, so all of stdin is spooled first: one pass over
        # the store.
        spool = BlobWriter(self._packing.scratch / f"{self._packing.prefix}-stdin")
        with_files: list[CommitRecord] = []
        async for commit in self._upstream.outputs():
            await self._upstream.copy(commit.key(STDOUT), spool.write)
            if len(commit.objects) > 1:
                with_files.append(commit)
        stdin = spool.finish()
        if not with_files and stdin.size <= MAX_INLINE_INPUT_BYTES:
            chunk = self._packing.chunk(0, stdin.path.read_bytes())
        else:
            archive = self._packing.archive(0)
            archive.begin("stdin", stdin.size)
            for piece in stdin.pieces():
                archive.write(piece.data)
            for commit in with_files:
                await _add_files(archive, self._upstream, commit, f"in/{self._upstream.place(commit)}")
            chunk = self._packing.packed(0, archive)
        stdin.remove()
        return chunk


class PerChunkSource:
    """A chunk for each upstream chunk: its stdout on stdin, its files in /in."""

    def __init__(self, upstream: Upstream, packing: Packing) -> None:
        self.total = -1
        self._outputs = upstream.outputs()
        self._upstream = upstream
        self._packing = packing
        self._index = 0

    async def batch(self) -> list[Chunk]:
        """The next chunks, none at the end."""
        batch: list[Chunk] = []
        size = 0
        async for commit in self._outputs:
            chunk = await self._chunk(commit)
            batch.append(chunk)
            size += chunk.size
            self._index += 1
            if len(batch) >= BATCH_CHUNKS or size >= BATCH_BYTES:
                break
        return batch

    async def _chunk(self, commit: CommitRecord) -> Chunk:
        info = await self._upstream.store.stat(commit.key(STDOUT))
        if len(commit.objects) == 1 and info.size <= MAX_INLINE_INPUT_BYTES:
            data = await self._upstream.store.read(commit.key(STDOUT))
            return self._packing.chunk(self._index, data, commit.path)
        archive = self._packing.archive(self._index)
        archive.begin("stdin", info.size)
        await self._upstream.copy(commit.key(STDOUT), archive.write)
        await _add_files(archive, self._upstream, commit, "in")
        return self._packing.packed(self._index, archive, commit.path)


async def _add_files(archive: ArchiveWriter, upstream: Upstream, commit: CommitRecord, below: str) -> None:
    for suffix in commit.objects[1:]:
        info = await upstream.store.stat(commit.key(suffix))
        archive.begin(f"{below}/{suffix.removeprefix('out/')}", info.size)
        await upstream.copy(commit.key(suffix), archive.write)
