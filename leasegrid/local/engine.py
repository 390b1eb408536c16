"""The running fabric: puts its parts together, starts them, keeps them, and ends them so that nothing is left."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from leasegrid.api.pool import InstancePool
from leasegrid.local.binding import Binder
from leasegrid.local.claims import Claims
from leasegrid.local.endings import Endings
from leasegrid.local.hints import HintListener
from leasegrid.local.keeper import Keeper
from leasegrid.local.launching import Launched
from leasegrid.local.machine import Machine, read_machine
from leasegrid.local.parts import Parts
from leasegrid.local.pools import Pools
from leasegrid.local.provisioning import Provisioner
from leasegrid.local.roster import Roster
from leasegrid.local.runtime import reap_stale
from leasegrid.local.signing import Signer, SteadyClock
from leasegrid.local.state import StateDirectory
from leasegrid.local.zygote import Zygote

RELEASE_SECONDS = 5.0
"""Leases that are not released by then are left to the end of their members, which follows."""

END_SECONDS = 2.0
"""Members and zygote end by themselves within this, or are killed."""

MAX_RESTARTS = 3
"""A zygote that ends unasked so often cannot run here."""


@dataclass(frozen=True)
class LocalSettings:
    """`workers`: one-core members of the default pool (0: one per core). `pools`: those of the file.

    `machine`: what there is (None: read from the kernel). `launched`: a zygote that was started earlier by `launch`.
    """

    workers: int = 0
    pools: Sequence[InstancePool] = ()
    machine: Machine | None = None
    launched: Launched | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


class Engine:
    """One run of a fabric, from `begin` to `end`. Made inside a running event loop."""

    def __init__(self, state: StateDirectory, settings: LocalSettings, launched: Launched) -> None:
        self._event = asyncio.Event()
        self._environment = settings.environment
        self._restarts = 0
        self._closing = False
        self._background: list[asyncio.Task[object]] = []
        self.remains: tuple[int, ...] = ()
        self.parts = _assemble(state, settings, launched, self._event.set)
        self.claims = Claims(self.parts)
        self.endings = Endings(self.parts)
        self._provisioner = Provisioner(self.parts)
        self._keeper = Keeper(self.parts, self.claims, self._provisioner, self.endings)
        self._listener = HintListener(launched.runtime.hints, self._keeper.hinted)

    def begin(self) -> None:
        """Order the first members and keep everything from now on."""
        self._listen_to_zygote()
        self._keeper.pass_once()
        self._background = [
            asyncio.create_task(self._keeper.run(self._event), name="keeper"),
            asyncio.create_task(asyncio.to_thread(reap_stale, self._environment), name="reap stale runs"),
        ]

    async def end(self) -> None:
        """Release every lease, end every process, remove the runtime directory; bounded in time."""
        self._closing = True
        endings = [self.endings.begin(record, "Closed") for record in self.parts.table.live()]
        if endings:
            await asyncio.wait(endings, timeout=RELEASE_SECONDS)
        await self._stop_keeping()
        await asyncio.gather(*(member.hang_up() for member in self.parts.roster.all()))
        killed = await self.parts.zygote.close(END_SECONDS)
        self.remains = (*self.remains, *killed)
        self.parts.runtime.remove()

    async def _stop_keeping(self) -> None:
        for task in self._background[:1]:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._listener.close()
        await self.claims.close()
        await self._provisioner.close()
        await self._keeper.close()
        await self.parts.binder.close()
        await asyncio.gather(*self.parts.tasks, return_exceptions=True)

    def _listen_to_zygote(self) -> None:
        zygote = self.parts.zygote
        zygote.attach(self._keeper.heard, partial(self._zygote_ended, zygote))

    def _zygote_ended(self, zygote: Zygote, cause: str) -> None:
        """Without it nobody tells of members that end: they are given up together, and all begins anew."""
        if self._closing:
            return
        for member in self.parts.roster.all():
            self._keeper.lost(member, cause)
        self.parts.background(self._restart(zygote))

    async def _restart(self, ended: Zygote) -> None:
        self.remains = (*self.remains, *await ended.close(END_SECONDS))
        self._restarts += 1
        if self._closing or self._restarts > MAX_RESTARTS:
            return
        # What was ordered while it was ending was ordered of a dead zygote: nobody will ever tell of it.
        for member in self.parts.roster.all():
            self._keeper.lost(member, "its zygote has ended")
        self.parts.zygote = Zygote(self.parts.runtime)
        self._listen_to_zygote()
        self._event.set()


def _assemble(state: StateDirectory, settings: LocalSettings, launched: Launched, changed: Callable[[], None]) -> Parts:
    clock = SteadyClock()
    roster = Roster(asyncio.get_running_loop().time())
    signer = Signer(state.key, clock)
    return Parts(
        state=state,
        runtime=launched.runtime,
        zygote=launched.zygote,
        pools=Pools.build(settings.machine or read_machine(), settings.workers, settings.pools),
        roster=roster,
        binder=Binder(roster, signer),
        signer=signer,
        clock=clock,
        changed=changed,
    )
