"""What the parts of the fabric share: one value instead of globals."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from leasegrid.local.binding import Binder
from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.deadlines import DeadlineHeap
from leasegrid.local.leases import LeaseRecord, LeaseTable
from leasegrid.local.pools import Pools
from leasegrid.local.roster import Member, Roster
from leasegrid.local.runtime import RuntimeDirectory
from leasegrid.local.signing import Signer, SteadyClock
from leasegrid.local.state import StateDirectory
from leasegrid.local.zygote import Zygote, session_processes


@dataclass
class Parts:
    """One fabric's own things. `changed` says that something is different and a decision may be due."""

    state: StateDirectory
    runtime: RuntimeDirectory
    zygote: Zygote
    pools: Pools
    roster: Roster
    binder: Binder
    signer: Signer
    clock: SteadyClock
    changed: Callable[[], None]
    table: LeaseTable = field(default_factory=LeaseTable)
    deadlines: DeadlineHeap = field(default_factory=DeadlineHeap)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def background(self, work: Coroutine[None, None, None]) -> None:
        """Do it beside; the fabric waits for it when it closes."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def write_down(self, record: LeaseRecord) -> None:
        """The lease as it is now, into the books."""
        request = record.request
        self.state.books.write(
            LeaseRow(
                uid=record.uid,
                resource=Resource.CPU,
                name=request.request_id,
                namespace=request.namespace,
                holder=request.holder_identity,
                purpose=request.purpose,
                pool=" ".join(record.pools),
                members=tuple(record.held),
                acquired=record.acquired,
                expires=record.deadline,
            )
        )

    def kill(self, member: Member) -> None:
        """SIGKILL a member that does not answer, if its process is still one of this run's."""
        if member.pid and member.pid in session_processes(self.zygote.pid):
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
