"""One job of a run: its store is opened, the coordinator watched, outputs handed over, the store kept or released."""

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.cli.endings import INTERRUPTED, Ending, Kept, total
from leasegrid.cli.exits import may_go_on
from leasegrid.cli.exporting import copied_outputs, export_outputs, inline_outputs
from leasegrid.cli.requests import RunRequest
from leasegrid.cli.stores import (
    REPORT,
    Caches,
    JobStoreHold,
    discard,
    drop_store,
    holds_work,
    keep_store,
    open_job_store,
)
from leasegrid.cli.telling import Teller
from leasegrid.cli.vaults import open_vault, tidy_vault
from leasegrid.cli.views import SECONDS_BETWEEN_LOOKS, open_view
from leasegrid.local.fabric import LocalFabric
from leasegrid.local.state import StateDirectory
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import RunReport
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import LeaseGridError

UNCOPIED_SECONDS = 3600
"""So long outputs are kept at least that could not be copied."""


@dataclass(frozen=True)
class Surface:
    """What all jobs of a run share."""

    fabric: LocalFabric
    state: StateDirectory
    holder: Ed25519PrivateKey
    teller: Teller
    request: RunRequest


class JobRun:
    """One job. `number`: its place in the run; `alone`: whether the results directory is its own."""

    def __init__(self, plan: Plan, surface: Surface, number: int, *, alone: bool) -> None:
        self._plan = plan
        self._surface = surface
        self._number = number
        results = surface.request.results
        self._results = results if alone or results is None else results / plan.name
        self._coordinator: Coordinator | None = None

    def stop(self) -> bool:
        """End the job in order; False when it is not at the coordinator, and its task is to be cancelled instead."""
        if self._coordinator is None:
            return False
        self._coordinator.stop(INTERRUPTED)
        return True

    async def run(self, started: float) -> Ending:
        """Run the job to its end. Raises LeaseGridError when its store cannot be opened."""
        surface, plan = self._surface, self._plan
        if surface.request.restart and (left := discard(surface.state, plan)):
            surface.teller.tell(f"{plan.name}: begins anew; what an earlier run had left is deleted ({left})")
        scratch = surface.fabric.runtime.path / f"coordinator-{self._number}"
        scratch.mkdir(exist_ok=True)
        hold = await open_job_store(
            surface.state, surface.fabric.runtime, plan, surface.holder.public_key(), self._number
        )
        try:
            report = await self._execute(hold, scratch)
            ending = Ending(plan.namespace, plan.name, report, started, kind=plan.kind, resumes=hold.resumes)
            return await self._hand_over(ending, hold)
        except BaseException:
            await keep_store(surface.state, hold, None)
            raise

    async def _execute(self, hold: JobStoreHold, scratch: Path) -> RunReport:
        surface = self._surface
        caches = Caches(surface.state)
        surroundings = Surroundings(
            fabric=surface.fabric,
            store=hold.store,
            holder=surface.holder,
            code=open_vault(surface.state, self._plan, scratch),
            scratch=scratch,
            open_cache=caches.open,
            term=hold.store.term,
        )
        try:
            self._coordinator = Coordinator(self._plan, surroundings)
            return await self._watched(self._coordinator)
        finally:
            self._coordinator = None
            await caches.close()
            tidy_vault(surface.state)

    async def _watched(self, coordinator: Coordinator) -> RunReport:
        running = asyncio.create_task(coordinator.run(), name=f"job {self._plan.name}")
        view = open_view(self._plan.name)
        self._surface.teller.view = view
        try:
            while not running.done():
                view.show(coordinator.progress())
                await asyncio.wait({running}, timeout=SECONDS_BETWEEN_LOOKS)
        finally:
            view.close(coordinator.progress())
            self._surface.teller.view = None
        return running.result()

    async def _hand_over(self, ending: Ending, hold: JobStoreHold) -> Ending:
        resumable = may_go_on(ending.report.reason)
        if not resumable:
            ending = await self._fetched(ending, hold)
        if (ending.exported or ending.copied) is not None and not ending.trouble:
            await drop_store(self._surface.state, hold)
            return ending
        if not resumable and not total(ending.report.progress.stages).succeeded:
            await drop_store(self._surface.state, hold)
            return ending
        kept = await self._kept(hold, ending, resumable=resumable)
        return replace(ending, kept=kept)

    async def _fetched(self, ending: Ending, hold: JobStoreHold) -> Ending:
        """Hand over in every way that is asked for; the first that fails is told, and the others are still tried."""
        for hand in (self._exported, self._copied, self._inlined):
            try:
                ending = await hand(ending, hold)
            except LeaseGridError as error:
                ending = replace(ending, trouble=ending.trouble or str(error))
        return replace(ending, again=self._copies(ending) and ending.copied is None)

    def _copies(self, ending: Ending) -> bool:
        return bool(self._plan.output.copy_to) and ending.report.complete

    async def _exported(self, ending: Ending, hold: JobStoreHold) -> Ending:
        if self._results is None:
            return ending
        return replace(ending, exported=await export_outputs(hold.store, self._plan, self._results))

    async def _copied(self, ending: Ending, hold: JobStoreHold) -> Ending:
        if not self._copies(ending):
            return ending
        return replace(ending, copied=await copied_outputs(hold.store, self._plan))

    async def _inlined(self, ending: Ending, hold: JobStoreHold) -> Ending:
        return replace(ending, outputs=await inline_outputs(hold.store, self._plan))

    async def _kept(self, hold: JobStoreHold, ending: Ending, *, resumable: bool) -> Kept | None:
        anything = holds_work(hold.directory)
        await hold.store.put_value(REPORT, msgspec.json.encode(ending.report))
        # What could not be copied is kept, however short its outputs are retained otherwise.
        seconds = max(self._plan.output.retain_seconds, UNCOPIED_SECONDS if ending.again else 0)
        if anything and (resumable or seconds):
            until = None if resumable else time.time() + seconds
            return await keep_store(self._surface.state, hold, until, delivered=not (ending.again or ending.trouble))
        await drop_store(self._surface.state, hold)
        return None
