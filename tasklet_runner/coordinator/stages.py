"""Opens the stages of a plan and feeds a running stage with chunks."""

import asyncio
from pathlib import Path

from tasklet_runner.coordinator.caching import StageCache, cached_done
from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.commits import CommitWriter, Done
from tasklet_runner.coordinator.feeding import ChunkSource, open_source
from tasklet_runner.coordinator.inputs import Packing
from tasklet_runner.coordinator.lanes import StageRun
from tasklet_runner.coordinator.partitions import Generation, PartitionSource
from tasklet_runner.coordinator.programs import ReadyProgram, read_stage
from tasklet_runner.coordinator.progress import ChunkFailure
from tasklet_runner.coordinator.results import ResultTaker
from tasklet_runner.coordinator.upstream import open_upstream
from tasklet_runner.data.access import Access
from tasklet_runner.data.copying import check_target
from tasklet_runner.data.storages import Storages
from tasklet_runner.plan.types import Plan, Stage, StageInput
from tasklet_runner.store.protocol import JobStore, all_commits
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.programs import Program

RERUN_ATTEMPTS = 1000
"""Attempts of the n-th stage that is run again begin at n times this, so that what members hold keeps its name."""


class StageOpener:
    """Reads programs and inputs of all stages before anything is started, and makes their runs.

    `arrived` is set by a run when it has new chunks. Stages with the same program have the same number, so that
    members prepare it once.
    """

    def __init__(self, plan: Plan, store: JobStore, scratch: Path, arrived: asyncio.Event, access: Access) -> None:
        self._plan = plan
        self._store = store
        self._scratch = scratch
        self._storages = Storages(access)
        self._arrived = arrived
        self._programs: dict[str, ReadyProgram] = {}
        self._numbers: dict[Program, int] = {}
        self._sources: dict[str, ChunkSource] = {}
        self._opened = 0
        self._again = 0

    async def read_all(self) -> None:
        """Read every source and open every input that does not come from another stage. Raises InputError."""
        await asyncio.to_thread(self._read_all)

    def program(self, name: str) -> tuple[int, ReadyProgram]:
        """The number and the program of a stage."""
        ready = self._programs[name]
        return self._numbers[ready.program], ready

    async def open(self, name: str, output: Generation | None, reads: tuple[Generation, ...]) -> StageRun:
        """A run of the stage; of one that runs again, too. Raises InputError."""
        stage = self._plan.stage(name)
        number, program = self.program(name)
        source = await self._source(stage, reads)
        wave = next(wave for wave in self._plan.waves if name in wave)
        run = StageRun(stage, number, program, source, output=output, reads=reads, arrived=self._arrived)
        run.first_attempt, run.stride = wave.index(name) + 1, len(wave)
        return run

    async def open_again(self, name: str, output: Generation, reads: tuple[Generation, ...]) -> StageRun:
        """A run of a stage whose output was lost: beside it those of its readers may run. Raises InputError."""
        run = await self.open(name, output, reads)
        self._again += 1
        run.first_attempt, run.stride = self._again * RERUN_ATTEMPTS, 1
        return run

    def _read_all(self) -> None:
        check_target(self._plan, self._storages.access)
        for number, stage in enumerate(self._plan.stages):
            ready = self._programs[stage.name] = read_stage(stage, self._scratch, f"program-{number}", self._storages)
            self._numbers.setdefault(ready.program, number)
            if not isinstance(stage.input, StageInput):
                self._sources[stage.name] = open_source(stage.input, self._packing(stage))

    async def _source(self, stage: Stage, reads: tuple[Generation, ...]) -> ChunkSource:
        if reads:
            return PartitionSource(reads)
        if isinstance(stage.input, StageInput):
            return open_upstream(stage.input, self._store, self._packing(stage))
        if stage.name in self._sources:
            return self._sources.pop(stage.name)
        return await asyncio.to_thread(open_source, stage.input, self._packing(stage))

    def _packing(self, stage: Stage) -> Packing:
        # A run that was abandoned may still send its archives: each run has names of its own.
        self._opened += 1
        return Packing(self._scratch, f"input-{self._opened}", files=stage.tasklet.input_files, storages=self._storages)


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
        while not self._run.over and (batch := await self._run.source.batch()):
            fresh = [chunk for chunk in batch if not self._is_done(chunk)]
            self._run.generated += len(batch)
            await self._enqueue(fresh, cache)
            await self._wait_for_room()
        if self._done and not self._run.over:
            raise _other_input(self._run, min(self._done), "is not in its input any more")
        self._run.fed = True
        self._run.settle()

    async def _resume(self) -> None:
        """Chunks that an earlier run of this job has committed are done."""
        async for commit in all_commits(self._store, self._run.label):
            self._done[commit.index] = commit.chunk_id
            self._run.resumed += 1
            self._run.note_end(commit)
            if commit.fault is not None:
                self._run.note_failure(
                    ChunkFailure(
                        stage=self._run.stage.name,
                        index=commit.index,
                        chunk_id=commit.chunk_id,
                        attempts=commit.attempt,
                        fault=commit.fault,
                    )
                )

    def _is_done(self, chunk: Chunk) -> bool:
        done = self._done.pop(chunk.index, None)
        if done is not None and done != chunk.chunk_id and chunk.fault is None:
            raise _other_input(self._run, chunk.index, f"has another input now{f' ({chunk.path})' * bool(chunk.path)}")
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
        while (self._run.full or self._writer.congested) and not self._run.over:
            self._run.room.clear()
            try:
                async with asyncio.timeout(0.1):
                    await self._run.room.wait()
            except TimeoutError:
                continue


def _other_input(run: StageRun, index: int, what: str) -> InputError:
    return InputError(
        f"chunk {index} of {run.stage.name}, which an earlier run has done, {what}",
        remedy="put the input back as it was to go on with that run, or begin anew, which deletes it: --restart",
    )


def settle_written(batch: list[Done]) -> None:
    """A batch is in the store: its chunks are done."""
    for done in batch:
        run = done.lane.run
        done.lane.outstanding -= 1
        run.note_end(done.commit)
        if done.commit.fault is None:
            if run.output is not None:
                run.output.add(done.commit)
            run.cached += done.commit.cached
        if done.chunk.blob is not None:
            done.chunk.blob.remove()
    for run in {done.lane.run for done in batch}:
        run.settle()
