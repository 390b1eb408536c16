"""Opens the stages of a plan and feeds a running stage with chunks."""

import asyncio
from pathlib import Path

from tasklet_runner.coordinator.caching import StageCache, cached_done
from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.commits import CommitWriter, Done
from tasklet_runner.coordinator.feeding import ChunkSource, open_source
from tasklet_runner.coordinator.inputs import Packing
from tasklet_runner.coordinator.lanes import StageRun
from tasklet_runner.coordinator.programs import ReadyProgram, read_program
from tasklet_runner.coordinator.results import ResultTaker
from tasklet_runner.coordinator.upstream import open_upstream
from tasklet_runner.plan.types import Plan, Stage, StageInput
from tasklet_runner.store.protocol import JobStore, all_commits
from tasklet_runner.wire.errors import InputError


class StageOpener:
    """Reads programs and inputs of all stages before anything is started, and makes the runs of a wave."""

    def __init__(self, plan: Plan, store: JobStore, scratch: Path) -> None:
        self._plan = plan
        self._store = store
        self._scratch = scratch
        self._programs: dict[str, ReadyProgram] = {}
        self._sources: dict[str, ChunkSource] = {}

    async def read_all(self) -> None:
        """Read every source and open every input that does not come from another stage. Raises InputError."""
        for number, stage in enumerate(self._plan.stages):
            self._programs[stage.name] = await asyncio.to_thread(
                read_program, stage.tasklet, self._scratch, f"program-{number}"
            )
            if not isinstance(stage.input, StageInput):
                packing = self._packing(number, stage)
                self._sources[stage.name] = await asyncio.to_thread(open_source, stage.input, packing)

    def open_wave(self, names: tuple[str, ...], arrived: asyncio.Event) -> list[StageRun]:
        """The runs of the stages of one wave; they set `arrived` when there are new chunks."""
        return [self._run(name, place, len(names), arrived) for place, name in enumerate(names)]

    def _run(self, name: str, place: int, stride: int, arrived: asyncio.Event) -> StageRun:
        stage = self._plan.stage(name)
        number = self._plan.stages.index(stage)
        if isinstance(stage.input, StageInput):
            source = open_upstream(stage.input, self._store, self._packing(number, stage))
        else:
            source = self._sources.pop(name)
        return StageRun(
            stage,
            number,
            self._programs[name],
            source,
            first_attempt=place + 1,
            stride=stride,
            arrived=arrived,
        )

    def _packing(self, number: int, stage: Stage) -> Packing:
        return Packing(self._scratch, f"input-{number}", files=stage.tasklet.input_files)


class Feeder:
    """Brings one stage's chunks into its lanes, as many at a time as there is room for."""

    def __init__(self, run: StageRun, store: JobStore, writer: CommitWriter, results: ResultTaker) -> None:
        self._run = run
        self._store = store
        self._writer = writer
        self._results = results
        self._done: dict[int, str] = {}

    async def feed(self, cache: StageCache | None) -> None:
        """Feed until the input ends. Raises InputError, StoreError."""
        await self._resume()
        while self._run.fault is None and (batch := await self._run.source.batch()):
            fresh = [chunk for chunk in batch if not self._is_done(chunk)]
            self._run.generated += len(batch)
            await self._enqueue(fresh, cache)
            await self._wait_for_room()
        self._run.fed = True
        self._run.settle()

    async def _resume(self) -> None:
        """Chunks that an earlier run of this job has committed are done."""
        async for commit in all_commits(self._store, self._run.stage.name):
            self._done[commit.index] = commit.chunk_id
            self._run.resumed += 1
            if commit.fault is None:
                self._run.succeeded += 1
            else:
                self._run.failed += 1

    def _is_done(self, chunk: Chunk) -> bool:
        done = self._done.pop(chunk.index, None)
        if done is not None and done != chunk.chunk_id and chunk.fault is None:
            raise InputError(
                f"the input of chunk {chunk.index} of {self._run.stage.name} is not the one that an earlier run did",
                remedy="remove what that run left (leasegrid results JOB DIR --release) and run the job anew",
            )
        return done is not None

    async def _enqueue(self, chunks: list[Chunk], cache: StageCache | None) -> None:
        found = {}
        if cache is not None:
            cache.name(chunks)
            found = await cache.find(chunks)
        waiting = []
        for chunk in chunks:
            lane = self._run.lane_for(chunk.requirements)
            if chunk.fault is not None:
                lane.outstanding += 1
                chunk.attempt = self._run.first_attempt
                self._results.fail(lane, chunk, chunk.fault)
            elif chunk.cache_key in found:
                lane.outstanding += 1
                self._writer.add(cached_done(lane, chunk, found[chunk.cache_key]))
            else:
                waiting.append(chunk)
        self._run.enqueue(waiting)

    async def _wait_for_room(self) -> None:
        # Also without waiting the loop must turn, or results would wait for the whole input.
        await asyncio.sleep(0)
        while (self._run.full or self._writer.congested) and self._run.fault is None:
            self._run.room.clear()
            try:
                async with asyncio.timeout(0.1):
                    await self._run.room.wait()
            except TimeoutError:
                continue


def settle_written(batch: list[Done]) -> None:
    """A batch is in the store: its chunks are done."""
    for done in batch:
        run = done.lane.run
        done.lane.outstanding -= 1
        if done.commit.fault is None:
            run.succeeded += 1
            run.cached += done.commit.cached
        else:
            run.failed += 1
        if done.chunk.blob is not None:
            done.chunk.blob.remove()
    for run in {done.lane.run for done in batch}:
        run.settle()
