"""What a CPU lease uses of a member: slots, programs, native code, blobs, held outputs; and the reset that ends it."""

import asyncio
import os
from itertools import count
from typing import Protocol

from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.member.backlog import Supplies
from tasklet_runner.member.blobs import BlobShelf
from tasklet_runner.member.checkpoints import CheckpointShelf, CheckpointTally
from tasklet_runner.member.codes import CodeShelf
from tasklet_runner.member.facility import Warden
from tasklet_runner.member.fetching import Pantry
from tasklet_runner.member.larder import Larder
from tasklet_runner.member.progress import Tally, Traffic
from tasklet_runner.member.room import FetchRoom
from tasklet_runner.member.sealing import SealingKey
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.slot_home import ReadyProgram, SlotHome
from tasklet_runner.member.slots import Slot
from tasklet_runner.member.watch import watch_slots
from tasklet_runner.member.wiping import wipe
from tasklet_runner.sandbox.brim import Brim
from tasklet_runner.sandbox.compiling import CompileBounds
from tasklet_runner.sandbox.trees import empty_tree
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.member import Counters
from tasklet_runner.wire.statements import Bind

PLACES = ("blobs", "checkpoints", "durable", "fetched", "held", "mounts")


class Visit(Protocol):
    """A holder's open connection, as far as the workshop minds it."""

    async def end(self, reason: str) -> None:
        """The lease has ended."""
        ...

    async def drain(self, reason: str) -> None:
        """The member is about to go."""
        ...


class Post(Protocol):
    """The place of a job's coordinator at this member."""

    def stop(self) -> None:
        """Kill its process."""
        ...

    async def clear(self) -> None:
        """Kill and reap it, and forget what it was ordered."""
        ...


class Workshop:
    """One per member: its `Facility`. `open` forks the slots; `clear` ends everything that a lease left behind."""

    epoch = 0
    kept_lease_uid = ""
    post: Post | None = None

    def __init__(self, settings: MemberSettings) -> None:
        self.settings = settings
        self.scratch = settings.scratch
        self.programs: dict[int, ReadyProgram] = {}
        self.numbers = count(1)
        self.lifetime = Tally()
        self.checkpoints = CheckpointTally()
        self.traffic = Traffic()
        self.sealing_key = SealingKey()
        self.connections: set[Visit] = set()
        self.post: Post | None = None
        brim = Brim(self.scratch)
        self._home = SlotHome(self.scratch, self.programs, self._supplies, self._tainted, self._scratch_failed, brim)
        self.slots = tuple(Slot(number, self._home) for number in range(settings.slots))
        self._watch: asyncio.Task[None] | None = None
        self._warden: Warden
        self._fresh()

    def attach(self, warden: Warden) -> None:
        """See `Facility`, as for all of the following that say no more."""
        self._warden = warden

    def check(self, bind: Bind) -> None:
        """Any lease may use the slots."""

    def begin(self, bind: Bind) -> None:
        """Nothing of a CPU lease outlives the process, so nothing must be durable first."""

    async def warn(self, why: str) -> None:
        """Say `Draining` to all holders."""
        for connection in list(self.connections):
            await connection.drain(why)

    async def dismiss(self, reason: str) -> None:
        """Say `Ended` to all holders."""
        await asyncio.gather(*(connection.end(reason) for connection in list(self.connections)))

    async def until_idle(self) -> None:
        """Wait until no frame waits or runs."""
        await asyncio.gather(*(slot.until_idle() for slot in self.slots))

    async def open(self) -> None:
        """Make scratch ready and let all slots stand. Raises LeaseGridError or OSError when it cannot be done."""
        self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        empty_tree(self.scratch)
        for place in PLACES:
            (self.scratch / place).mkdir(mode=0o700)
        self._fresh()
        await asyncio.gather(*(slot.start() for slot in self.slots))
        self._watch = asyncio.create_task(watch_slots(self.slots, self._home))

    async def prepare(self, number: int, program: ReadyProgram) -> Fault | None:
        """Load a program in all slots; the first fault, or None."""
        self.programs[number] = program
        faults = await asyncio.gather(*(slot.prepare(number, program) for slot in self.slots))
        fault = next((fault for fault in faults if fault is not None), None)
        if fault is not None:
            self.drop(number)
        return fault

    def drop(self, number: int) -> None:
        """Forget a program in all slots."""
        if self.programs.pop(number, None) is not None:
            for slot in self.slots:
                slot.drop(number)

    def tally(self) -> Tally:
        """What the lease's tasks came to so far."""
        total = Tally()
        for slot in self.slots:
            total += slot.tally()
        return total

    def checkpoint_tally(self) -> CheckpointTally:
        """What was counted of checkpoints in the member's life."""
        total = CheckpointTally()
        total.add(self.checkpoints)
        total.add(self.shelf.tally)
        return total

    def counters(self) -> Counters:
        """The tally as it is handed over with a release."""
        tally, kept = self.tally(), self.shelf.tally
        return Counters(
            tasklets=tally.tasklets,
            faults=tally.faults,
            fuel_used=tally.fuel_used,
            wall_milliseconds=tally.wall_microseconds // 1000,
            killed=sum(slot.killed for slot in self.slots),
            checkpoints=kept.kept,
            checkpoints_failed=kept.failed,
            checkpoint_bytes=kept.byte_count,
            resumed=kept.resumed,
        )

    def stop(self) -> None:
        """Kill what runs, at once; `clear` does the rest."""
        for slot in self.slots:
            slot.stop()
        if self.post is not None:
            self.post.stop()

    async def clear(self) -> int:
        """Kill and reap every process, forget programs and code, wipe scratch; the bytes that were wiped.

        Raises LeaseGridError or OSError for what cannot be proven gone.
        """
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(slot.close() for slot in self.slots))
        if self.post is not None:
            await self.post.clear()
        self.programs.clear()
        await self.code.close()
        await self.stores.close()
        _prove_no_children()
        self.lifetime += self.tally()
        self.checkpoints.add(self.shelf.tally)
        self.shelf.tally.clear()
        for slot in self.slots:
            slot.reset_tally()
        return wipe(self.scratch)

    def _tainted(self) -> None:
        self._warden.taint()

    def _scratch_failed(self) -> None:
        self._warden.fail("IoError: the member's scratch failed")

    def _supplies(self) -> Supplies:
        return Supplies(self.pantry, self.shelf)

    def _fresh(self) -> None:
        self.blobs = BlobShelf(self.scratch / "blobs", self.settings.tmpfs)
        self.unpacking = asyncio.Lock()
        self.stores = StoreConnections()
        fetched, room = self.scratch / "fetched", FetchRoom(self.blobs)
        self.pantry = Pantry(fetched, room, Larder(fetched, room), self.stores, self.traffic)
        self.shelf = CheckpointShelf(self.scratch, self.stores)
        self.code = CodeShelf(CompileBounds(self.settings.memory // 2, self.settings.compile_seconds))


def _prove_no_children() -> None:
    try:
        left, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    raise LeaseGridError(
        f"a child process is left after the reset (pid {left or 'unknown'})", remedy="replace the member"
    )
