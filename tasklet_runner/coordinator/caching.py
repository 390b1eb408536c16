"""Results that outlive the job: known inputs are committed without a run, new successes are kept.

A cache may forget or fail; neither ever fails a job.
"""

from collections.abc import Callable, Sequence

import msgspec

from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.commits import Done
from tasklet_runner.coordinator.lanes import Lane
from tasklet_runner.plan.chunks import depends_on_index, program_key, result_key
from tasklet_runner.store.cache import ResultCache
from tasklet_runner.store.protocol import CommitRecord, JobStore, NewObject
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import StoreError
from tasklet_runner.wire.programs import Program

MAX_CACHED_BYTES = 8 * 1024 * 1024
"""A larger result is not kept: reading it back from the store would cost memory."""


class CachedResult(msgspec.Struct, frozen=True, array_like=True):
    """A success: its objects by suffix (`stdout` first), and what the run cost."""

    objects: tuple[tuple[str, bytes], ...]
    fuel_used: int = 0
    wall_microseconds: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CachedResult)


class StageCache:
    """One stage's view of a cache. `on_fault` hears why the cache is not used any more."""

    def __init__(self, cache: ResultCache, program: Program, store: JobStore, on_fault: Callable[[str], None]) -> None:
        self._cache = cache
        self._program = program_key(program)
        self._by_index = depends_on_index(program)
        self._store = store
        self._on_fault = on_fault
        self._failed = False

    def name(self, chunks: Sequence[Chunk]) -> None:
        """Give chunks their cache keys."""
        for chunk in chunks:
            index = chunk.index if self._by_index else None
            chunk.cache_key = result_key(self._program, chunk.input_hash, path=chunk.path, index=index)

    async def find(self, chunks: Sequence[Chunk]) -> dict[str, CachedResult]:
        """What is known of these chunks, by cache key."""
        if self._failed:
            return {}
        try:
            found = await self._cache.get_many([chunk.cache_key for chunk in chunks])
            return {key: _decoder.decode(value) for key, value in found.items()}
        except (StoreError, *UNREADABLE) as error:
            self._fail(error)
            return {}

    async def keep(self, batch: Sequence[Done]) -> None:
        """Keep the successes of a batch that is in the store."""
        fresh = [
            done for done in batch if done.chunk.cache_key and done.commit.fault is None and not done.commit.cached
        ]
        if self._failed or not fresh:
            return
        try:
            values = {done.chunk.cache_key: await self._value(done) for done in fresh}
            await self._cache.put_many({key: value for key, value in values.items() if value is not None})
        except (StoreError, KeyError) as error:
            self._fail(error)

    async def close(self) -> None:
        """Let the cache go."""
        try:
            await self._cache.close()
        except StoreError as error:
            self._fail(error)

    async def _value(self, done: Done) -> bytes | None:
        if done.objects:
            objects = [(suffix, stored.data) for suffix, stored in zip(done.commit.objects, done.objects, strict=True)]
        else:
            objects = []
            size = 0
            for suffix in done.commit.objects:
                size += (await self._store.stat(done.commit.key(suffix))).size
                if size > MAX_CACHED_BYTES:
                    return None
                objects.append((suffix, await self._store.read(done.commit.key(suffix))))
        return _encoder.encode(CachedResult(tuple(objects), done.commit.fuel_used, done.commit.wall_microseconds))

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._on_fault(f"results are not cached any more: {error}")


def cached_done(lane: Lane, chunk: Chunk, result: CachedResult) -> Done:
    """A chunk that is known already, as its first attempt."""
    stage = lane.run.stage.name
    attempt = lane.run.first_attempt
    commit = CommitRecord(
        stage=stage,
        index=chunk.index,
        attempt=attempt,
        chunk_id=chunk.chunk_id,
        objects=tuple(suffix for suffix, _ in result.objects),
        fuel_used=result.fuel_used,
        wall_microseconds=result.wall_microseconds,
        path=chunk.path,
        cached=True,
    )
    prefix = f"{stage}/{chunk.index}/{attempt}/"
    return Done(lane, chunk, commit, tuple(NewObject(prefix + suffix, data) for suffix, data in result.objects))
