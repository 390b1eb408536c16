"""The running fabric: puts its parts together, starts them, keeps them, and ends them so that nothing is left."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from leasegrid.api.pool import InstancePool
from leasegrid.leasing.binding import Binder
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.roster import Member, Roster
from leasegrid.leasing.signing import Signer, SteadyClock
from leasegrid.local.blocks import BlockVolumes
from leasegrid.local.hints import HintListener
from leasegrid.local.launching import Launched
from leasegrid.local.machine import Machine, read_machine
from leasegrid.local.parts import Books, LocalParts
from leasegrid.local.pools import Pools
from leasegrid.local.processes import Processes
from leasegrid.local.provisioning import Provisioner
from leasegrid.local.runtime import reap_stale
from leasegrid.local.state import StateDirectory
from leasegrid.local.store_pools import space_reader
from leasegrid.local.successors import Successors
from leasegrid.local.zygote import Zygote, ZygoteEvent
from tasklet_runner.wire.member import MemberState

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
        self.local = _assemble(state, settings, launched, self._event.set)
        self._successors = Successors(self.local.shared, self.local.volumes, self.local.processes)
        self._provisioner = Provisioner(self.local, self._successors)
        self.leases = LeaseEngine(self.local.shared, self._provisioner)
        self._listener = HintListener(launched.runtime.hints, self.leases.keeper.hinted)

    def begin(self) -> None:
        """Order the first members and keep everything from now on."""
        self._listen_to_zygote()
        self.leases.keeper.pass_once()
        self._background = [
            asyncio.create_task(self.leases.keeper.run(self._event), name="keeper"),
            asyncio.create_task(asyncio.to_thread(reap_stale, self._environment), name="reap stale runs"),
        ]

    def provision(self) -> None:
        """Have members made that leases wait for, at once."""
        self._provisioner.run()

    async def end(self) -> None:
        """Release every lease, end every process, remove the runtime directory; bounded in time."""
        self._closing = True
        parts = self.local.shared
        endings = [self.leases.endings.begin(record, "Closed") for record in parts.table.live()]
        if endings:
            await asyncio.wait(endings, timeout=RELEASE_SECONDS)
        await self._stop_keeping()
        await asyncio.gather(*(member.hang_up() for member in parts.roster.all()))
        killed = await self.local.processes.zygote.close(END_SECONDS)
        self.remains = (*self.remains, *killed)
        self.local.volumes.close()
        self.local.processes.runtime.remove()

    async def _stop_keeping(self) -> None:
        for task in self._background[:1]:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._listener.close()
        await self._provisioner.close()
        await self._successors.close()
        await self.leases.close()

    def _listen_to_zygote(self) -> None:
        zygote = self.local.processes.zygote
        zygote.attach(self._heard, partial(self._zygote_ended, zygote))

    def _heard(self, event: ZygoteEvent) -> None:
        member = self.local.shared.roster.find(event.spawned or event.failed or event.exited)
        if member is None:
            return
        if event.spawned:
            self.local.processes.spawned(member, event.pid)
            self._event.set()
        else:
            self._lost(member, event.cause or f"its process ended with status {event.status}")

    def _lost(self, member: Member, cause: str) -> None:
        # One that does not answer counts as warming, too: a store that ends after its lease has not failed.
        if member.state is MemberState.WARMING and not member.retiring and not member.claims:
            words = self.local.processes.zygote.last_words()
            self._provisioner.failed(member, f"{member.name}: {cause}{': ' if words else ''}{words}")
        self.local.processes.gone(member)
        self.leases.keeper.lost(member)

    def _zygote_ended(self, zygote: Zygote, cause: str) -> None:
        """Without it nobody tells of members that end: they are given up together, and all begins anew."""
        if self._closing:
            return
        for member in self.local.shared.roster.all():
            self._lost(member, cause)
        self.local.shared.background(self._restart(zygote))

    async def _restart(self, ended: Zygote) -> None:
        self.remains = (*self.remains, *await ended.close(END_SECONDS))
        self._restarts += 1
        if self._closing or self._restarts > MAX_RESTARTS:
            return
        # What was ordered while it was ending was ordered of a dead zygote: nobody will ever tell of it.
        for member in self.local.shared.roster.all():
            self._lost(member, "its zygote has ended")
        self.local.processes.zygote = Zygote(self.local.processes.runtime)
        self._listen_to_zygote()
        self._event.set()


def _assemble(
    state: StateDirectory, settings: LocalSettings, launched: Launched, changed: Callable[[], None]
) -> LocalParts:
    clock = SteadyClock()
    roster = Roster(asyncio.get_running_loop().time())
    signer = Signer(state.key, clock)
    machine = settings.machine or read_machine()
    space = space_reader(machine.memory, launched.runtime.path, state.root)
    pools = Pools.build(machine, settings.workers, settings.pools, space)
    volumes = BlockVolumes(state)
    processes = Processes(launched, roster, signer.public, volumes)
    shared = Parts(
        pools=pools.by_name,
        roster=roster,
        binder=Binder(roster, signer),
        signer=signer,
        clock=clock,
        ledger=Books(state, clock, pools.by_name, volumes),
        host=processes,
        changed=changed,
    )
    return LocalParts(shared, pools, processes, volumes)
