"""One namespace under a leader: its pools, its leases, and the engine between them."""

import asyncio
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.leasing.binding import Binder
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.roster import Member, Roster
from leasegrid.leasing.signing import Signer, SteadyClock
from leasegrid_operator.estate import Allowed, NamespaceEstate
from leasegrid_operator.jobs.copier_pods import CopierTemplate
from leasegrid_operator.jobs.office import JobOffice
from leasegrid_operator.jobs.ordering import Brokers, Commission, give_order
from leasegrid_operator.jobs.requests import JobKey
from leasegrid_operator.jobs.rooms import JobLeases, JobRoom
from leasegrid_operator.leases.acquiring import NamespaceDesk, fair_creations
from leasegrid_operator.leases.hosting import PodHost
from leasegrid_operator.leases.keeping import LeaseKeeping, Office
from leasegrid_operator.leases.taking_over import TakeOver
from leasegrid_operator.pools.keeping import PoolKeeper
from leasegrid_operator.pools.templates import MemberSettings
from tasklet_runner.doors.budget import Budget
from tasklet_runner.wire.member import MemberState

TICK_SECONDS = 0.1
STRAY_LOOK_SECONDS = 1.0

_ANSWERED = frozenset({MemberState.READY, MemberState.FENCED, MemberState.TERMINATED})
"""What a member says that serves nobody."""


@dataclass(frozen=True)
class Premises:
    """What all namespaces of one operator share. `allowed`: bounds of the installation; `creations`: of how many leases
    objects are being made at a time.
    """

    office: Office
    signer: Signer
    clock: SteadyClock
    members: MemberSettings
    allowed: Allowed
    key: Ed25519PrivateKey
    brokers: Brokers
    creations: Budget = field(default_factory=fair_creations)

    async def order(self, commission: Commission) -> None:
        """Have a member run the coordinator of a job."""
        await give_order(commission, self.key, self.brokers)

    def job_key(self, uid: str) -> JobKey:
        """The holder of all leases of a job."""
        return JobKey.of(self.key, uid)


class Room:
    """Made inside a running event loop; `take_over` once it was told of all that there is."""

    def __init__(self, namespace: str, premises: Premises, closing: asyncio.Event) -> None:
        self.namespace = namespace
        self._event = asyncio.Event()
        roster = Roster(asyncio.get_running_loop().time())
        binder = Binder(roster, premises.signer)
        self.estate = NamespaceEstate(namespace, premises.office.cluster, premises.allowed)
        self.leases = LeaseKeeping(premises.office, self.estate)
        parts = Parts(
            pools={},
            roster=roster,
            binder=binder,
            signer=premises.signer,
            clock=premises.clock,
            ledger=self.leases,
            host=PodHost(binder, premises.clock, self.estate),
            changed=self._event.set,
        )
        self.pools = PoolKeeper(parts, premises.office.cluster, premises.members, namespace)
        self.engine = LeaseEngine(parts, self.pools)
        self.pools.on_lost = self._lost
        self.pools.reaper.hold_back()
        self.pools.on_warmed = premises.office.metrics.warmed
        self.leases.attach(self.engine)
        self.estate.attach(self.pools, self.engine)
        cluster = premises.office.cluster
        self.desk = NamespaceDesk(self.estate, self.leases, self.engine, cluster, closing, premises.creations)
        copier = CopierTemplate(premises.members, premises.allowed.provision)
        wall, leases = premises.office.wall, JobLeases(self.desk)
        office = JobOffice(cluster, leases, wall, premises.job_key, premises.order, copier)
        self.jobs = JobRoom(office)
        self._take_over = TakeOver(namespace, premises.office, self.leases, self.engine, self.estate)
        self._tasks: list[asyncio.Task[None]] = []

    async def take_over(self) -> None:
        """Ask the members, go on with their leases, and keep everything from now on."""
        await self._take_over.run(self.estate.known_pools())
        self.pools.reaper.go_on()
        self.jobs.begin()
        self.estate.sweep([one.uid for one in self.leases.files.values() if one.facts.written.released])
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self.engine.keeper.run(self._event), name=f"keep {self.namespace}"),
            loop.create_task(self._tick(), name=f"tick {self.namespace}"),
            loop.create_task(self._look_for_strays(), name=f"strays of {self.namespace}"),
        ]

    async def close(self) -> None:
        """Decide and write nothing more; leases and members stay as they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.jobs.close()
        await self.leases.close()
        await self.estate.close()
        await self.pools.close()
        await self.engine.close()
        await asyncio.gather(*(member.hang_up() for member in self.engine.parts.roster.all()))

    def _unseen(self, uid: str, name: str) -> bool:
        """True while nobody knows whether that member of the lease, or its volume, still serves it."""
        member = self.engine.parts.roster.find(name)
        if member is not None and not (member.state in _ANSWERED or member.lease not in ("", uid)):
            return True
        mine = [claim.name for claim in self.pools.reaper.claims() if claim.owner_uid == uid]
        if any(name == claim or name.startswith(f"{claim}-s") for claim in mine):
            return True
        return self.estate.unseen(name)

    def _lost(self, member: Member, cause: str) -> None:
        self.estate.lost(member, cause)
        self.engine.keeper.lost(member)

    async def _tick(self) -> None:
        while True:
            self.leases.tick()
            self.estate.tick()
            await asyncio.sleep(TICK_SECONDS)

    async def _look_for_strays(self) -> None:
        while True:
            await self._take_over.look_for_strays()
            self.leases.verify(self._unseen)
            await asyncio.sleep(STRAY_LOOK_SECONDS)
