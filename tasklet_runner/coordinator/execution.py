"""Executes the waves of a plan: opens stages, feeds them, waits for their last chunk, and brings the run to its end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasklet_runner.coordinator.board import Board
from tasklet_runner.coordinator.commits import CommitWriter, Done
from tasklet_runner.coordinator.dispatch import Dispatcher
from tasklet_runner.coordinator.groups import GroupKey
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.keeping import first_of
from tasklet_runner.coordinator.progress import MAX_FAILURES_KEPT, ChunkFailure, Phase, StageIndexes, StageProgress
from tasklet_runner.coordinator.reporting import ending
from tasklet_runner.coordinator.results import ResultTaker
from tasklet_runner.coordinator.resuming import find_done, require_same_programs
from tasklet_runner.coordinator.running import StageRunner, Tools
from tasklet_runner.coordinator.shuffles import Shuffles
from tasklet_runner.coordinator.stages import StageOpener, settle_written
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.coordinator.workforce import Workforce
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.chunks import program_key
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import LeaseGridError
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
        self._board = Board()
        self._later: set[GroupKey] = set()
        self._writer = CommitWriter(surroundings.store, self._written)
        self._results = ResultTaker(surroundings, self._writer, _end_handle)
        self.dispatcher = Dispatcher(self._results)
        self._writer.more_coming = lambda: self.dispatcher.working
        self.workforce = Workforce(plan, surroundings, self.dispatcher, self._results)
        self.shuffles = Shuffles(plan, surroundings, self.workforce)

    def stop(self) -> None:
        """Dispatch nothing more."""
        self._stopped = self.dispatcher.paused = True

    async def close(self, reason: str) -> tuple[Receipt, ...]:
        """Release every lease; returns the receipts."""
        await asyncio.gather(self.workforce.close(reason), self.shuffles.close(reason))
        return (*self.workforce.receipts, *self.shuffles.receipts)

    def stages(self) -> tuple[StageProgress, ...]:
        """The counts of every stage, in the plan's order."""
        return tuple(self._board.progress(stage.name) for stage in self._plan.stages)

    def indexes(self, stage: str) -> StageIndexes:
        """Which chunks of a stage are done."""
        return self._board.indexes(stage)

    def failures(self) -> tuple[ChunkFailure, ...]:
        """The first failures of every stage."""
        return tuple(failure for run in self._board.latest.values() for failure in run.failures)[:MAX_FAILURES_KEPT]

    async def execute(self, scratch: Path) -> Ending:
        """Run all waves. Raises LeaseGridError for what makes going on impossible: inputs, the store, the fabric."""
        store = self._surroundings.store
        opener = StageOpener(self._plan, store, scratch, self._arrived, self._surroundings.access)
        await opener.read_all()
        keys = {stage.name: program_key(opener.program(stage.name)[1].program) for stage in self._plan.stages}
        await require_same_programs(self._plan, store, keys)
        await store.put_value("plan", msgspec.json.encode(self._plan))
        await self._find_done()
        runner = StageRunner(self._tools(opener), self._board)
        self.phase = Phase.RUNNING
        try:
            async with asyncio.TaskGroup() as background:
                tasks = [background.create_task(self._writer.run()), background.create_task(self._tick())]
                for position in range(len(self._plan.waves)):
                    await self._run_wave(runner, position)
                for task in tasks:
                    task.cancel()
        except* LeaseGridError as errors:
            raise first_of(errors) from None
        return await self._finish()

    def _tools(self, opener: StageOpener) -> Tools:
        return Tools(self._plan, self._surroundings, opener, self._writer, self._results, self.workforce, self.shuffles)

    async def _find_done(self) -> None:
        """What an earlier run of this job did to the end, and nobody needs again. What it left half done is removed."""
        await self._surroundings.store.drop_uncommitted()
        self._board.before = await find_done(self._plan, self._surroundings.store)
        self._board.done.update(self._board.before)

    async def _run_wave(self, runner: StageRunner, position: int) -> None:
        names = [name for name in self._plan.waves[position] if not self._needs_no_run(name)]
        self.shuffles.release_unread(self._board.done)
        later = [self._plan.stage(name) for wave in self._plan.waves[position + 1 :] for name in wave]
        self._later = {GroupKey(stage.lease, stage.lease.requirements) for stage in later}
        self.workforce.ahead = [runner.ahead(name) for wave in self._plan.waves[position + 1 :][:1] for name in wave]
        async with asyncio.TaskGroup() as stages:
            for name in names:
                stages.create_task(runner.run(name))

    def _needs_no_run(self, name: str) -> bool:
        if name not in self._board.before and any(map(self._board.failed, self._plan.stage(name).depends_on)):
            self._board.skip(name)
        return name in self._board.before

    async def _finish(self) -> Ending:
        """The end has an order: outputs synced, then `finished` in the store, then the report, then the release."""
        self.phase = Phase.FINISHING
        store = self._surroundings.store
        await self._writer.flush()
        self._results.checkpoints.forget_stages(self._plan.stages)
        await store.sync()
        failed = any(self._board.failed(stage.name) for stage in self._plan.stages)
        stages = self.stages()
        result = Ending(not failed, self._failure_reason() if failed else "Finished", ending(stages, self.failures()))
        finished = {"complete": result.complete, "reason": result.reason, "message": result.message, "stages": stages}
        await store.put_value("finished", msgspec.json.encode(finished))
        self.phase = Phase.FAILED if failed else Phase.COMPLETE
        return result

    def _failure_reason(self) -> str:
        """NoCapacity when a whole stage failed because no pool can ever satisfy its requirements."""
        unsupported = any(run.fault and run.fault.kind is FaultKind.UNSUPPORTED for run in self._board.latest.values())
        impossible = any(group.impossible is not None for group in self.workforce.groups.values())
        return "NoCapacity" if unsupported and (impossible or self.shuffles.impossible) else "ChunksFailed"

    async def _tick(self) -> None:
        while True:
            self._results.retries.release(time.monotonic())
            self.workforce.plan_members(self._board.active, self._later)
            self.workforce.fail_impossible()
            self.shuffles.follow(self.dispatcher.handles)
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
        for name, cache in self._board.caches.items():
            await cache.keep([done for done in batch if done.commit.stage == name])
        self._results.checkpoints.forget(batch)
        settle_written(batch)


def _end_handle(handle: Handle, reason: str) -> None:
    handle.group.end(handle, reason, died=True)
