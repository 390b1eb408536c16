"""What the parts of one namespace's engine share, and what they ask of the fabric that they run in."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from leasegrid.leasing.binding import Binder
from leasegrid.leasing.deadlines import DeadlineHeap
from leasegrid.leasing.leases import Held, LeaseRecord, LeaseTable
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Roster
from leasegrid.leasing.signing import Signer, SteadyClock
from tasklet_runner.fabric.protocol import Receipt


@dataclass(frozen=True)
class Disposal:
    """Volumes that were deleted, their bytes, and what is not yet seen to be gone, by name."""

    volumes: int = 0
    volume_bytes: int = 0
    unverified: tuple[str, ...] = ()


class Ledger(Protocol):
    """Where leases stand in writing: a database of this machine, or Lease objects. Nothing here waits."""

    def write_down(self, record: LeaseRecord) -> None:
        """The lease as it is now."""
        ...

    def close_account(self, record: LeaseRecord, receipt: Receipt) -> None:
        """The lease has ended; this is what it leaves behind."""
        ...


class Host(Protocol):
    """What members run on: processes of this machine, or pods."""

    async def vanish(self, record: LeaseRecord, silent: Sequence[Held]) -> Sequence[Held]:
        """See to members of a lease that did not answer their release; returns when there is nothing to wait for.

        What is returned nobody has seen end: it stands in the receipt as unverified.
        """
        ...

    async def dispose(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """Delete what belonged to members that are not used again: pods, and volumes with every byte on them."""
        ...


class Planner(Protocol):
    """Keeps the pools; see `leasegrid.rules.pool_sizing`."""

    def run(self) -> float | None:
        """One pass over all pools; returns in how many seconds something changes by time alone, None for never."""
        ...


@dataclass
class Parts:
    """One engine's own things. `pools` by name, in the order of preference; `changed` says that something is different
    and a decision may be due.
    """

    pools: dict[str, Pool]
    roster: Roster
    binder: Binder
    signer: Signer
    clock: SteadyClock
    ledger: Ledger
    host: Host
    changed: Callable[[], None]
    table: LeaseTable = field(default_factory=LeaseTable)
    deadlines: DeadlineHeap = field(default_factory=DeadlineHeap)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def background(self, work: Coroutine[None, None, None]) -> None:
        """Do it beside; the fabric waits for it when it closes."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
