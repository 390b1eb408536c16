"""What the parts of one namespace's engine share, and what they ask of the fabric that they run in."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from leasegrid.leasing.binding import Binder
from leasegrid.leasing.deadlines import DeadlineHeap
from leasegrid.leasing.leases import LeaseRecord, LeaseTable
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Member, Roster
from leasegrid.leasing.signing import Signer, SteadyClock
from tasklet_runner.fabric.protocol import Receipt


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

    async def vanish(self, record: LeaseRecord, silent: Sequence[Member]) -> None:
        """See to members of an ended lease that did not answer its release; return when there is nothing to wait for.

        Those whose `gone` is not set then stand in the receipt as unverified.
        """
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
