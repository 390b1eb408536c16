"""Executes the waves of a plan: opens stages, feeds them, waits for their last chunk, and brings the run to its end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasklet_runner.coordinator.caching import StageCache
from tasklet_runner.coordinator.commits import CommitWriter, Done
from tasklet_runner.coordinator.dispatch import Dispatcher
from tasklet_runner.coordinator.groups import GroupKey, first_of
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.lanes import StageRun
from tasklet_runner.coordinator.progress import MAX_FAILURES_KEPT, ChunkFailure, Phase, StageProgress, StageState
from tasklet_runner.coordinator.reporting import ending
from tasklet_runner.coordinator.results import ResultTaker
from tasklet_runner.coordinator.stages import Feeder, StageOpener, settle_written
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.coordinator.workforce import Workforce
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import LeaseGridError, StoreError
from tasklet_runner.wire.faults import FaultKind

TICK_SECONDS = 0.05


@dataclass(frozen=True)
class Ending:
    """How a run ended, before its leases are released."""

    complete: bool
    reason: str
    message: str


class Execution:
    """The working part of a run. `on_tick` is called twenty times a second."""

    def __init__(self, plan: Plan, surroundings: Surroundings, on_tick: Callable[[], None]) -> None:
        self.phase = Phase.PREPARING
        self._plan = plan
        self._surroundings = surroundings
        self._on_tick = on_tick
        self._stopped = False
        self._arrived = asyncio.Event()
        self._runs: dict[str, StageRun] = {}
        self._skipped: dict[str, StageProgress] = {}
        self._made_at = time.monotonic()
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._wave: list[StageRun] = []
        self._later: set[GroupKey] = set()
        self._caches: dict[str, StageCache] = {}
        self._writer = CommitWriter(surroundings.store, self._written)
        self._results = ResultTaker(surroundings, self._writer, _end_handle)
        self.dispatcher = Dispatcher(self._results)
        self.workforce = Workforce(plan, surroundings, self.dispatcher, self._results)

    def stop(self) -> None:
        """Dispatch nothing more."""
        self._stopped = self.dispatcher.paused = True

    def stages(self) -> tuple[StageProgress, ...]:
        """The counts of every stage, in the plan's order."""
        return tuple(self._progress_of(stage.name) for stage in self._plan.stages)

    def failures(self) -> tuple[ChunkFailure, ...]:
        """The first failures of every stage."""
        return tuple(failure for run in self._runs.values() for failure in run.failures)[:MAX_FAILURES_KEPT]

    async def execute(self, scratch: Path) -> Ending:
        """Run all waves. Raises LeaseGridError for what makes going on impossible: inputs, the store, the fabric."""
        opener = StageOpener(self._plan, self._surroundings.store, scratch)
        await opener.read_all()
        await self._surroundings.store.put_value("plan", msgspec.json.encode(self._plan))
        self.phase = Phase.RUNNING
        try:
            async with asyncio.TaskGroup() as background:
                tasks = [background.create_task(self._writer.run()), background.create_task(self._tick())]
                for position in range(len(self._plan.waves)):
                    await self._run_wave(opener, position)
                for task in tasks:
                    task.cancel()
        except* LeaseGridError as errors:
            raise first_of(errors) from None
        return await self._finish()

    async def _run_wave(self, opener: StageOpener, position: int) -> None:
        names = tuple(name for name in self._plan.waves[position] if not self._skip(name))
        self._wave = opener.open_wave(names, self._arrived)
        self._later = {
            GroupKey(stage.lease, stage.lease.requirements)
            for wave in self._plan.waves[position + 1 :]
            for stage in map(self._plan.stage, wave)
        }
        self._runs |= {run.stage.name: run for run in self._wave}
        self.workforce.begin(self._wave)
        async with asyncio.TaskGroup() as stages:
            for run in self._wave:
                stages.create_task(self._run_stage(run))
        self.dispatcher.forget_lanes()
        self._wave = []

    async def _run_stage(self, run: StageRun) -> None:
        self._began.setdefault(run.stage.name, time.monotonic() - self._made_at)
        cache = await self._open_cache(run)
        feeder = Feeder(run, self._surroundings.store, self._writer, self._results)
        feeding = asyncio.create_task(feeder.feed(cache))
        finished = asyncio.create_task(run.finished.wait())
        try:
            # A stage whose program cannot run ends before its input is read.
            await asyncio.wait({feeding, finished}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                await feeding
            await finished
        finally:
            feeding.cancel()
            finished.cancel()
            await asyncio.wait({feeding, finished})
            if cache is not None:
                await cache.close()
            self._ended[run.stage.name] = time.monotonic() - self._made_at

    async def _open_cache(self, run: StageRun) -> StageCache | None:
        open_cache = self._surroundings.open_cache
        if run.stage.cache is None or open_cache is None:
            return None
        try:
            opened = await open_cache(run.stage.cache)
        except StoreError as error:
            self.workforce.noticed(f"results are not cached: {error}")
            return None
        cache = StageCache(opened, run.program.program, self._surroundings.store, self.workforce.noticed)
        self._caches[run.stage.name] = cache
        return cache

    def _skip(self, name: str) -> bool:
        """True when a stage that this one needs has failed; then its chunks, at least one, are skipped."""
        upstream = [self._runs.get(needed) for needed in self._plan.stage(name).depends_on]
        if all(run is not None and not run.failed_too_much for run in upstream):
            return False
        self._skipped[name] = StageProgress(name=name, state=StageState.SKIPPED, total=1, skipped=1)
        return True

    def _progress_of(self, name: str) -> StageProgress:
        if name in self._runs:
            began, ended = self._began.get(name, -1.0), self._ended.get(name, -1.0)
            return msgspec.structs.replace(self._runs[name].progress(), began=began, ended=ended)
        return self._skipped.get(name, StageProgress(name=name))

    async def _finish(self) -> Ending:
        """The end has an order: outputs synced, then `finished` in the store, then the report, then the release."""
        self.phase = Phase.FINISHING
        store = self._surroundings.store
        await self._writer.flush()
        await store.sync()
        failed = any(run.failed_too_much for run in self._runs.values())
        stages = self.stages()
        result = Ending(not failed, self._failure_reason() if failed else "Finished", ending(stages, self.failures()))
        finished = {"complete": result.complete, "reason": result.reason, "message": result.message, "stages": stages}
        await store.put_value("finished", msgspec.json.encode(finished))
        self.phase = Phase.FAILED if failed else Phase.COMPLETE
        return result

    def _failure_reason(self) -> str:
        """NoCapacity when a whole stage failed because no pool can ever satisfy its requirements."""
        unsupported = any(run.fault and run.fault.kind is FaultKind.UNSUPPORTED for run in self._runs.values())
        impossible = any(group.impossible is not None for group in self.workforce.groups.values())
        return "NoCapacity" if unsupported and impossible else "ChunksFailed"

    async def _tick(self) -> None:
        while True:
            self._results.retries.release(time.monotonic())
            self.workforce.plan_members(self._wave, self._later)
            self.workforce.fail_impossible()
            self.dispatcher.paused = self._stopped or self._writer.congested
            self.dispatcher.pump()
            self._on_tick()
            await self._wait_for_tick()

    async def _wait_for_tick(self) -> None:
        """New chunks need not wait: members are acquired and slots filled at once."""
        self._arrived.clear()
        try:
            async with asyncio.timeout(TICK_SECONDS):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _written(self, batch: list[Done]) -> None:
        for name, cache in self._caches.items():
            await cache.keep([done for done in batch if done.commit.stage == name])
        settle_written(batch)


def _end_handle(handle: Handle, reason: str) -> None:
    handle.group.end(handle, reason, died=True)
