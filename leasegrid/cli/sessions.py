"""One `leasegrid run` while it lives: the fabric, the file's pools and leases, its jobs in order, the end of it all."""

import asyncio
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.cli import early, exits
from leasegrid.cli.endings import Ending
from leasegrid.cli.holding import HeldLeases
from leasegrid.cli.jobs import JobRun, Surface
from leasegrid.cli.orders import lease_request
from leasegrid.cli.preparing import Prepared
from leasegrid.cli.requests import RunRequest
from leasegrid.cli.signals import Stops
from leasegrid.cli.stores import refuse_changed
from leasegrid.cli.telling import Teller
from leasegrid.local.engine import LocalSettings
from leasegrid.local.fabric import LocalFabric
from leasegrid.local.launching import Launched
from leasegrid.local.state import StateDirectory
from tasklet_runner.fabric.protocol import Receipt


class Session:
    """A run of prepared objects on this machine. Make it outside the event loop, run it inside."""

    def __init__(self, request: RunRequest, prepared: Prepared, launched: Launched) -> None:
        self._request = request
        self._prepared = prepared
        self._launched = launched
        self._teller = Teller(request)
        self._holder = Ed25519PrivateKey.generate()
        self._stops = Stops(self._stop, lambda: early.abandon(launched))
        self._job: JobRun | None = None
        self._work: asyncio.Task[None] | None = None
        self._endings: list[Ending] = []
        self._receipts: list[Receipt] = []
        self._began = time.monotonic()

    async def run(self) -> int:
        """Run everything; returns the exit status, having said how it ended."""
        self._stops.listen()
        self._work = asyncio.create_task(self._run_all(), name="run")
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._stops.received:
                raise
        finally:
            self._stops.close()
        if self._stops.received:
            self._teller.tell(self._stops.farewell())
        code = self._stops.status or exits.worst(
            [
                exits.code_of_report(ending.report.complete, ending.report.reason, ending.trouble)
                for ending in self._endings
            ]
        )
        self._teller.finish(self._endings, self._receipts, code)
        return code

    def _stop(self, word: str) -> None:
        self._teller.tell(f"{word}: releasing everything (a second time: at once)")
        if self._job is not None and self._job.stop():
            return
        if self._work is not None:
            self._work.cancel()

    async def _run_all(self) -> None:
        state = StateDirectory.default()
        settings = LocalSettings(self._request.workers or 0, self._prepared.pools, launched=self._launched)
        try:
            state.reap()
            self._refuse_changed(state)
            async with LocalFabric(state, settings) as fabric:
                for warning in fabric.warnings:
                    self._teller.warn(warning)
                await self._run_on(fabric, state)
        finally:
            state.close()

    def _refuse_changed(self, state: StateDirectory) -> None:
        for plan in self._prepared.plans:
            if not (plan.suspended or plan.output.store == "None" or self._request.restart):
                refuse_changed(state, plan)

    async def _run_on(self, fabric: LocalFabric, state: StateDirectory) -> None:
        for plan in self._prepared.plans:
            fabric.check(plan)
        leases = HeldLeases(fabric, self._teller.tell)
        try:
            await leases.acquire([lease_request(lease, self._holder) for lease in self._prepared.leases])
            if self._prepared.plans:
                await self._run_jobs(Surface(fabric, state, self._holder, self._teller, self._request))
            else:
                await self._hold(leases)
        finally:
            self._receipts.extend(await leases.release())

    async def _run_jobs(self, surface: Surface) -> None:
        for number, plan in enumerate(self._prepared.plans):
            if plan.suspended:
                self._teller.warn(f"job {plan.name} is suspended (spec.suspend) and does not run")
                continue
            self._job = JobRun(plan, surface, number, alone=len(self._prepared.plans) == 1)
            ending = await self._job.run(time.monotonic() - self._began)
            self._job = None
            self._endings.append(ending)
            self._teller.job_ended(ending)
            if self._stops.received or not (ending.report.complete or self._request.keep_going):
                return

    async def _hold(self, leases: HeldLeases) -> None:
        if not self._prepared.leases:
            self._teller.tell("the file has neither jobs nor leases: its pools are kept warm until Ctrl-C")
            await asyncio.Event().wait()
        self._teller.tell("held until Ctrl-C")
        await leases.ended()
