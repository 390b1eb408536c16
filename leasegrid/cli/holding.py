"""The Leases of a file: acquired before its jobs, renewed while they run, released at their end."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tasklet_runner.client.members import MemberClient
from tasklet_runner.coordinator.capabilities import capabilities_by_member
from tasklet_runner.fabric.protocol import Fabric, LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.plan.renewal import Renewal, RenewalAction
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError

_RENEW_AT_PERCENT = 70


@dataclass
class HeldLeases:
    """Leases held by this command. `tell` takes lines for people."""

    fabric: Fabric
    tell: Callable[[str], None]
    _views: list[LeaseView] = field(default_factory=list)
    _renewing: list[asyncio.Task[None]] = field(default_factory=list)

    async def acquire(self, requests: list[LeaseRequest]) -> None:
        """Acquire all, in order. Raises CapacityExceededError, UnsupportedError."""
        for request in requests:
            view = await self.fabric.acquire(request)
            self._views.append(view)
            self._renewing.append(asyncio.create_task(self._renew(view), name=f"renew {view.name}"))
            names = ", ".join(member.name for member in view.members)
            self.tell(f"lease {view.name}: {len(view.members)} of {view.wanted} members: {names}")

    async def ended(self) -> None:
        """Return when no lease is left, as when all have reached their maxLifetimeSeconds."""
        await asyncio.gather(*self._renewing)

    async def release(self) -> list[Receipt]:
        """Release all; returns their receipts."""
        for task in self._renewing:
            task.cancel()
        await asyncio.gather(*self._renewing, return_exceptions=True)
        receipts = [await self.fabric.release(view.uid) for view in self._views]
        self._views.clear()
        return receipts

    async def _renew(self, view: LeaseView) -> None:
        loop = asyncio.get_running_loop()
        # The jitter only spreads renewals over time.
        renewal = Renewal.start(loop.time(), view.expires_in, _RENEW_AT_PERCENT, random.random())  # noqa: S311
        while True:
            step = renewal.tick(loop.time())
            if step.action is RenewalAction.EXPIRED:
                self.tell(f"lease {view.name} has ended: its deadline has come")
                return
            if step.action is RenewalAction.WAIT:
                await asyncio.sleep(step.at - loop.time())
                continue
            try:
                renewed = await self.fabric.renew(view.uid)
                await _deliver(renewed)
                renewal = renewal.renewed(loop.time(), renewed.expires_in)
            except LeaseEndedError as error:
                self.tell(f"lease {view.name} has ended: {error}")
                return
            except LeaseGridError:
                renewal = renewal.failed(loop.time())


async def _deliver(view: LeaseView) -> None:
    """A member believes only the renewal that its holder shows it: else it frees itself at the old deadline."""
    renewed = capabilities_by_member(view.capabilities)
    await asyncio.gather(*(_show(member, renewed[member.name]) for member in view.members if member.name in renewed))


async def _show(member: LeasedMember, capability: str) -> None:
    # One that is lost is the fabric's affair; the others must hear of it all the same.
    with suppress(LeaseGridError):
        async with MemberClient(member.endpoint) as client:
            await client.renew(capability)
