"""One task's /durable, from the checkpoint that it begins with to the last one that is kept of it.

All that waits is asynchronous, and what works on files at length is done in a child: the member's main process keeps
deadlines meanwhile. It looks at the directory once a second, which costs next to nothing for some files: inotify would
tell sooner, but a user has few watches on a machine, and what they tell of must be looked at all the same.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tasklet_runner.member.checkpoints import CheckpointShelf, Keeper, fault_kind, restore_fault
from tasklet_runner.member.children import KILLED, in_child
from tasklet_runner.member.packing import Packs, take
from tasklet_runner.member.slot_wire import durable_path
from tasklet_runner.member.standing import SlotProcessId
from tasklet_runner.sandbox.archives import unpack
from tasklet_runner.sandbox.durable import Sighting, look
from tasklet_runner.sandbox.trees import MAX_OUTPUT_FILES, remove_tree
from tasklet_runner.wire.errors import InputError, LeaseGridError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Durable
from tasklet_runner.wire.work import Checkpointed

INTERVAL_SECONDS = 1.0
"""Between two looks, and so at least between two checkpoints."""

LAST_INTERVAL_SECONDS = 30.0
"""After failures the interval doubles up to this: a store that is full is not sent everything once a second."""

FINISH_SECONDS = 5.0
"""A result waits so long for a checkpoint on its way: one that came after the chunk's commit would be left behind."""

SETTLED_NS = 50_000_000
"""What was changed less than this before a look may change again and not show it: time stamps are that coarse."""


@dataclass(frozen=True)
class Attempt:
    """Whose /durable it is, where checkpoints of it are kept, and who is told of them."""

    index: int
    number: int
    durable: Durable
    tell: Callable[[Checkpointed], Awaitable[None]]


class Upkeep:
    """Fills the slot's /durable before the task, keeps checkpoints while it runs, empties it after.

    `ready` when the task may begin; with a `fault` it never may. `leave` ends it at any time. To be started when
    nothing else of the slot runs or waits before it.
    """

    def __init__(self, shelf: CheckpointShelf, attempt: Attempt, slot: int, sequence: int) -> None:
        self.ready = False
        self.fault: Fault | None = None
        self._root = durable_path(shelf.scratch, slot)
        self._attempt = attempt
        self._tally = shelf.tally
        self._packs = Packs(shelf.directory / f"{slot}-{sequence}")
        self._keeper = Keeper(shelf.stores, attempt.durable, self._packs)
        # What the newest checkpoint is of, as far as that is known.
        self._seen: Sighting | None = Sighting()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._left = False

    def start(self, then: Callable[[], None]) -> None:
        """Begin to restore, if that has not begun; `then` is called when it is done, and not when it was left."""
        if self._task is None and not self._left:
            self._task = asyncio.create_task(self._restore(then))

    def watch(self, pid: int) -> None:
        """The task begins in this process."""
        if not self._left:
            self._task = asyncio.create_task(self._watch(pid))

    async def finish(self) -> None:
        """The task has ended: wait for a checkpoint on its way, but not long, and begin no other."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=FINISH_SECONDS)

    def leave(self, *, resting: bool) -> asyncio.Task[None] | None:
        """End it; the task, if any, that must have ended before nothing is left of it. `resting`: nothing of the slot
        runs any more, so /durable is emptied; a second call may say so.
        """
        self._left = True
        if resting and self.ready:
            # Now and not when the task has ended: by then /durable may be another's. What a broken restoring left is
            # removed before the next one.
            remove_tree(self._root)
        task = self._task
        if task is None or task.done():
            remove_tree(self._packs.directory)
            return None
        # The clearing cannot be the task's own: one that is cancelled before its first step runs nothing at all.
        task.add_done_callback(lambda _: remove_tree(self._packs.directory))
        task.cancel()
        return task

    async def _restore(self, then: Callable[[], None]) -> None:
        try:
            await self._fill()
            self.ready = True
        except (LeaseGridError, OSError) as error:
            self.fault = restore_fault(self._attempt.durable.endpoint, error)
        then()

    async def _fill(self) -> None:
        remove_tree(self._root)
        self._packs.directory.mkdir(mode=0o700)
        if not await self._keeper.fetch():
            self._root.mkdir(mode=0o700)
            return
        kept = self._packs.kept
        if wrong := await in_child(lambda: unpack(kept, self._root, kept.stat().st_size, MAX_OUTPUT_FILES)):
            # What was killed may live when it is tried again; all else is the archive's or the member's.
            raise (LeaseGridError if wrong == KILLED else InputError)(f"it cannot be laid out: {wrong}")
        self._seen = look(self._root)
        self._tally.resumed += 1

    async def _watch(self, pid: int) -> None:
        slot = SlotProcessId(pid, os.pidfd_open(pid))
        interval = INTERVAL_SECONDS
        try:
            while not await self._closed_within(interval):
                looked_ns = time.time_ns()
                seen = look(self._root)
                if self._seen is not None and seen.same_files(self._seen):
                    continue
                failed = await self._keep(slot)
                settled = all(file.changed_ns < looked_ns - SETTLED_NS for file in seen.files)
                self._seen = seen if settled and failed is None else None
                if failed is not None and failed.kind is FaultKind.FENCED:
                    return
                interval = INTERVAL_SECONDS if failed is None else min(2 * interval, LAST_INTERVAL_SECONDS)
        finally:
            # The child that had stopped it may have been killed.
            slot.go_on()
            os.close(slot.descriptor)

    async def _closed_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _keep(self, slot: SlotProcessId) -> Fault | None:
        """Keep a checkpoint of what is there now; why it could not be, or None."""
        started = time.monotonic()
        try:
            sent = await self._take_and_put(slot)
        except (LeaseGridError, OSError) as error:
            fault = Fault(kind=fault_kind(error), message=str(error))
            self._tally.failed += 1
            await self._say(0, started, fault)
            return fault
        if sent:
            self._tally.keep(sent, _since(started))
            await self._say(sent, started, None)
        return None

    async def _take_and_put(self, slot: SlotProcessId) -> int:
        root, packs, since_full = self._root, self._packs, self._keeper.since_full
        if wrong := await in_child(lambda: take(root, packs, slot, since_full)):
            slot.go_on()
            raise LeaseGridError(wrong)
        if self._closing.is_set() or not packs.fresh.exists():
            return 0
        return await self._keeper.put()

    async def _say(self, byte_count: int, started: float, fault: Fault | None) -> None:
        attempt, generation = self._attempt, self._keeper.generation
        message = Checkpointed(attempt.index, attempt.number, generation, byte_count, _since(started), fault)
        await attempt.tell(message)


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
