"""The coordinator: executes a plan on a fabric. It is itself only a lease holder.

Everything that decides is synchronous and runs in one event loop. Tasks: one feeder per running stage, two per
connection, four per lease, the store's writer, and a clock that ticks twenty times a second. None is per chunk.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tasklet_runner.coordinator.execution import Ending, Execution
from tasklet_runner.coordinator.progress import Phase, Progress, RunReport, StageIndexes, TimelinePoint
from tasklet_runner.coordinator.reporting import Rate, ending
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.coordinator.timeline import Timeline
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import InputError, LeaseGridError, StoreError, UnsupportedError

_REASONS: tuple[tuple[type[LeaseGridError], str], ...] = (
    (InputError, "InvalidInput"),
    (StoreError, "StoreUnavailable"),
    (UnsupportedError, "NoCapacity"),
)


async def _nobody_asks(ending: Ending) -> None:
    """Who runs the coordinator in its own process sees the report."""


class Coordinator:
    """One run of one plan. For one event loop; make it inside the loop.

    `announce` hears how the run ended when that stands in the store, and before anything is released.
    """

    def __init__(self, plan: Plan, surroundings: Surroundings) -> None:
        self._plan = plan
        self._surroundings = surroundings
        self._started = time.monotonic()
        self.announce: Callable[[Ending], Awaitable[None]] = _nobody_asks
        self._ended_at: float | None = None
        self._stopping = asyncio.Event()
        self._stop_reason = ""
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timeline = Timeline()
        self._rate = Rate()
        self._execution = Execution(plan, surroundings, self._note)
        self._workforce = self._execution.workforce
        self._workforce.on_broken = self._break
        # A run may be over between two ticks; its picture still shows who worked.
        self._workforce.on_members = self._note

    async def run(self) -> RunReport:
        """Execute the plan; returns however it ends. What the surroundings refuse becomes the report's reason and
        message.
        """
        scratch = Path(tempfile.mkdtemp(prefix="coordinator-", dir=self._surroundings.scratch))
        try:
            result = await self._until_the_end(scratch)
            await self.announce(result)
        finally:
            # Also when this task is cancelled or a bug shows: nothing stays leased.
            self._execution.stop()
            receipts = await self._execution.close("Finished" if self._execution.phase is Phase.COMPLETE else "Ended")
            shutil.rmtree(scratch, ignore_errors=True)
        self._note()
        self._ended_at = time.monotonic()
        return RunReport(
            complete=result.complete,
            reason=result.reason,
            message=result.message,
            progress=self.progress(),
            indexes=self.indexes(self._plan.stages[0].name),
            failures=self._execution.failures(),
            receipts=receipts,
            timeline=self.timeline(),
        )

    def progress(self) -> Progress:
        """A snapshot, cheap enough for ten a second."""
        handles, groups = self._execution.dispatcher.handles, self._workforce.groups.values()
        return Progress(
            phase=self._phase(),
            elapsed=(self._ended_at or time.monotonic()) - self._started,
            stages=self._execution.stages(),
            workers=len(handles),
            slots=sum(len(handle.slots) for handle in handles),
            leases=sum(group.view is not None for group in groups) + self._execution.shuffles.leases,
            rate=self._rate.per_second(),
            waiting_because=self._waiting_because,
            notices=tuple(self._workforce.notices),
            generation=self._surroundings.term,
        )

    def indexes(self, stage: str) -> StageIndexes:
        """Which chunks of a stage are done; costs no more than the length of the texts."""
        return self._execution.indexes(stage)

    def timeline(self) -> tuple[TimelinePoint, ...]:
        """The run's shape so far."""
        return self._timeline.points()

    def stop(self, reason: str) -> None:
        """End the run: dispatch nothing more, release all leases; `run` then returns a report with this reason. Only
        the first call counts.
        """
        if not self._stopping.is_set():
            self._stop_reason = reason
            self._execution.stop()
            self._stopping.set()

    @property
    def _waiting_because(self) -> str:
        return "; ".join(sorted({*self._workforce.waiting_because, *self._execution.shuffles.waiting_because}))

    def _phase(self) -> Phase:
        """While nobody works, a run is acquiring, or waiting for capacity when the fabric said that there is none."""
        phase = self._execution.phase
        if phase is not Phase.RUNNING or self._execution.dispatcher.handles:
            return phase
        lacking = self._workforce.waiting_because or self._execution.shuffles.lacks_capacity
        return Phase.WAITING_FOR_CAPACITY if lacking else Phase.ACQUIRING

    async def _until_the_end(self, scratch: Path) -> Ending:
        body = asyncio.create_task(self._execution.execute(scratch))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            first: set[asyncio.Future[Any]] = {body, stopping, self._broken}
            limit = self._plan.active_deadline_seconds or None
            await asyncio.wait(first, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if body.done():
                return body.result()
            if self._broken.done():
                self._broken.result()
            return self._cut_short()
        except LeaseGridError as error:
            self._execution.phase = Phase.FAILED
            return Ending(False, _reason(error), str(error))
        finally:
            body.cancel()
            stopping.cancel()
            await asyncio.wait({body, stopping})

    def _cut_short(self) -> Ending:
        so_far = f"{ending(self._execution.stages(), self._execution.failures())} so far"
        if self._stopping.is_set():
            self._execution.phase = Phase.STOPPED
            return Ending(False, self._stop_reason, f"stopped; {so_far}")
        self._execution.phase = Phase.FAILED
        limit = self._plan.active_deadline_seconds
        return Ending(False, "DeadlineExceeded", f"activeDeadlineSeconds ({limit}) are over; {so_far}")

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    def _note(self) -> None:
        now = time.monotonic()
        stages = self._execution.stages()
        done = sum(stage.done for stage in stages)
        leased = sum(group.leased for group in self._workforce.groups.values()) + self._execution.shuffles.leased
        self._timeline.note(TimelinePoint(now - self._started, leased, sum(stage.running for stage in stages), done))
        # What an earlier run did says nothing of how fast this one is.
        self._rate.note(now, done - sum(stage.resumed for stage in stages))


def _reason(error: LeaseGridError) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return error.code
