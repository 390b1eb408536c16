"""Runs one stage to its end: fed, watched, and run again when the store of its partitions is lost."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tasklet_runner.coordinator.board import Board
from tasklet_runner.coordinator.caching import StageCache
from tasklet_runner.coordinator.commits import CommitWriter
from tasklet_runner.coordinator.lanes import StageRun
from tasklet_runner.coordinator.partitions import Generation
from tasklet_runner.coordinator.results import ResultTaker
from tasklet_runner.coordinator.resuming import done_record
from tasklet_runner.coordinator.shuffles import MAX_LOSSES, Shuffles, shuffled_inputs
from tasklet_runner.coordinator.stages import Feeder, StageOpener
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.coordinator.workforce import Ahead, Workforce
from tasklet_runner.plan.types import Plan, StageInput
from tasklet_runner.wire.errors import InputError, StoreError
from tasklet_runner.wire.faults import Fault, FaultKind

LOOK_SECONDS = 0.05
"""A stage whose inputs are lost, but whose chunks all run, is looked at so often: they may have what they need."""


@dataclass(frozen=True)
class Tools:
    """What the stages of a run share."""

    plan: Plan
    surroundings: Surroundings
    opener: StageOpener
    writer: CommitWriter
    results: ResultTaker
    workforce: Workforce
    shuffles: Shuffles


class ProducerFailedError(Exception):
    """What a stage reads was lost, and cannot be produced again."""

    def __init__(self, producer: StageRun) -> None:
        super().__init__(producer.stage.name)
        self.fault = producer.fault or Fault(
            kind=FaultKind.DISCONNECTED,
            message=f"{producer.stage.name}, whose partitions were lost, failed when it ran again",
            remedy="look at its failures",
        )


class StageRunner:
    """Runs stages of a plan, several at a time. What it does stands on the `board`."""

    def __init__(self, tools: Tools, board: Board) -> None:
        self._tools = tools
        self._board = board
        self._losses: dict[str, int] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def run(self, name: str) -> None:
        """Run a stage to its end, whatever becomes of its store. Raises InputError, StoreError."""
        try:
            if self._tools.plan.stage(name).shuffle is None:
                await self._attend(await self._open(name, None))
            else:
                async with self._turn(name):
                    await self._produce(name)
        except ProducerFailedError as failed:
            self._board.fail(name, failed.fault)

    def ahead(self, name: str) -> Ahead:
        """What is known of a stage before it can run."""
        plan, stage = self._tools.plan, self._tools.plan.stage(name)
        number, program = self._tools.opener.program(name)
        shuffles = [plan.stage(needed).shuffle for needed in shuffled_inputs(plan, stage)]
        chunks = shuffles[0].partitions if shuffles and shuffles[0] is not None else -1
        if isinstance(stage.input, StageInput) and stage.input.gather:
            chunks = 1
        return Ahead(stage, number, program, chunks)

    async def _produce(self, name: str) -> None:
        """Bring the partitions of a stage into a store that stands, or fail the stage."""
        stage = self._tools.plan.stage(name)
        while True:
            self._board.done.discard(name)
            generation = self._tools.shuffles.begin(stage)
            run = await self._open(name, generation)
            if await self._attend(run):
                generation.finish()
                await self._note_done(run)
                return
            self._say_lost(generation)
            if self._lost_too_often(name):
                return

    async def _open(self, name: str, output: Generation | None) -> StageRun:
        plan, opener = self._tools.plan, self._tools.opener
        reads = await self._inputs(shuffled_inputs(plan, plan.stage(name)))
        before = self._board.latest.get(name)
        if before is None or output is None:
            run = await opener.open(name, output, reads)
        else:
            run = await opener.open_again(name, output, reads)
            run.retried = before.retried + before.succeeded
        self._board.latest[name] = run
        return run

    async def _inputs(self, names: Iterable[str]) -> tuple[Generation, ...]:
        return tuple([await self._ensure(name) for name in names])

    async def _ensure(self, name: str) -> Generation:
        """The partitions of a stage, produced again where they are lost or were given back."""
        async with self._turn(name):
            while (generation := self._tools.shuffles.standing(name)) is None:
                self._say_lost(self._tools.shuffles.last(name))
                if not self._lost_too_often(name):
                    await self._produce(name)
                if self._board.latest[name].failed_too_much:
                    raise ProducerFailedError(self._board.latest[name])
        return generation

    async def _attend(self, run: StageRun) -> bool:
        """From the first chunk to the last; False when the store of its output was lost meanwhile."""
        cache = await self._open_cache(run)
        board, name = self._board, run.stage.name
        board.began.setdefault(name, time.monotonic() - board.started)
        board.ended.pop(name, None)
        board.active.append(run)
        self._tools.workforce.begin(run)
        try:
            return await self._until_finished(run, cache)
        finally:
            self._tools.workforce.end(run)
            board.active.remove(run)
            board.ended[name] = time.monotonic() - board.started
            board.done.add(name)
            self._tools.shuffles.release_unread(board.done)
            if cache is not None:
                await cache.close()

    async def _open_cache(self, run: StageRun) -> StageCache | None:
        surroundings, noticed = self._tools.surroundings, self._tools.workforce.noticed
        if run.stage.cache is None or surroundings.open_cache is None:
            return None
        if run.output is not None or run.reads:
            noticed(f"results of {run.stage.name} are not cached: it writes or reads partitions")
            return None
        try:
            opened = await surroundings.open_cache(run.stage.cache)
        except StoreError as error:
            noticed(f"results are not cached: {error}")
            return None
        cache = StageCache(opened, run.program.program, surroundings.store, noticed)
        self._board.caches[run.stage.name] = cache
        return cache

    async def _until_finished(self, run: StageRun, cache: StageCache | None) -> bool:
        tools = self._tools
        feeder = Feeder(run, tools.surroundings.store, tools.writer, tools.results)
        finished = asyncio.create_task(run.finished.wait())
        # A stage whose program cannot run ends before its input is read.
        working = {asyncio.create_task(feeder.feed(cache))}
        if run.reads:
            working.add(asyncio.create_task(self._mend_inputs(run)))
        if run.output is not None:
            working.add(asyncio.create_task(self._watch_output(run, run.output)))
        everything = {finished, *working}
        try:
            while not run.finished.is_set() and not run.abandoned:
                ended, _ = await asyncio.wait({finished, *working}, return_when=asyncio.FIRST_COMPLETED)
                for task in ended & working:
                    working.discard(task)
                    task.result()
        finally:
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
        return not run.abandoned

    async def _watch_output(self, run: StageRun, output: Generation) -> None:
        await output.store.ended.wait()
        impossible = output.store.impossible
        if impossible is not None:
            run.end_with(Fault(kind=FaultKind.UNSUPPORTED, message=impossible.cause, remedy=impossible.remedy))
        elif not run.finished.is_set():
            run.abandon()

    async def _mend_inputs(self, run: StageRun) -> None:
        """Whenever a store that the stage reads is lost, have its partitions produced again."""
        while True:
            await _any_ended(run.reads)
            if not await self._still_reads(run):
                return
            try:
                reads = await self._inputs([generation.stage for generation in run.reads])
            except ProducerFailedError as failed:
                run.end_with(failed.fault)
                return
            _compare(run.reads, reads)
            run.reads = reads
            run.arrived.set()

    async def _still_reads(self, run: StageRun) -> bool:
        """False when the chunks that run at the loss were the last, and had what they needed."""
        while run.fed and not run.backlog:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await run.finished.wait()
                    return False
            except TimeoutError:
                continue
        return not run.finished.is_set()

    async def _note_done(self, run: StageRun) -> None:
        """What a resumed run shows of this stage when it need not run again."""
        record = msgspec.json.encode(run.progress())
        await self._tools.surroundings.store.put_value(done_record(run.stage.name), record)

    def _say_lost(self, generation: Generation | None) -> None:
        """Count the loss of a store, once, and tell people what it means."""
        if generation is None or not generation.store.lost_because or generation.told:
            return
        generation.told = True
        name = generation.stage
        self._losses[name] = self._losses.get(name, 0) + 1
        chunks = max(self._board.latest[name].total, 1)
        text = f"{generation.store.name} was lost: its {chunks} chunks run again ({generation.store.lost_because})"
        if self._losses[name] >= MAX_LOSSES:
            text = f"{generation.store.name} was lost {MAX_LOSSES} times: {generation.store.lost_because}"
            fault = Fault(
                kind=FaultKind.DISCONNECTED, message=text, remedy="look at the members' logs, or use medium: Block"
            )
            self._board.latest[name].end_with(fault)
        self._tools.workforce.noticed(text)

    def _lost_too_often(self, name: str) -> bool:
        return self._losses.get(name, 0) >= MAX_LOSSES

    def _turn(self, name: str) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())


async def _any_ended(reads: Iterable[Generation]) -> None:
    tasks = [asyncio.create_task(generation.store.ended.wait()) for generation in reads]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _compare(before: tuple[Generation, ...], after: tuple[Generation, ...]) -> None:
    """Chunks that are committed and chunks that are not must read partitions of the same inputs."""
    for old, new in zip(before, after, strict=True):
        if old.digest != new.digest:
            raise InputError(
                f"the chunks of {new.stage}, whose partitions were lost, were others when they ran again",
                remedy="leave the inputs alone while the job runs, and run it anew",
            )
