"""The parent's eye on running tasks: the wall clock, which no tasklet can stop, and outputs that grow without end."""

import asyncio
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tasklet_runner.member.progress import Running
from tasklet_runner.member.slot_home import SlotHome
from tasklet_runner.member.slot_process import runner_scratch
from tasklet_runner.member.slots import Slot
from tasklet_runner.sandbox.brim import Brim
from tasklet_runner.sandbox.durable import excess, look
from tasklet_runner.sandbox.outcomes import output_too_large, timed_out
from tasklet_runner.sandbox.partitions import wants_output_directory
from tasklet_runner.sandbox.trees import Listing, list_tree
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Program

POLL_SECONDS = 0.1

GLANCE_SECONDS = 0.01
"""So often it is asked how much of scratch is free, while something runs: that costs some microseconds."""

FAST_SHARE = 1 / 8
"""When so much of scratch was filled since the last poll, the next one is at once, and minds no small beginnings."""

WALL_GRACE_SECONDS = 0.3
"""A tasklet that computes is stopped by its own epoch deadline first, with a better message; one that sleeps is not."""

OUTPUT_AFTER_SECONDS = 0.2
"""A task that ends sooner is measured then; walking its files before would cost more than the task."""


async def watch_slots(slots: Sequence[Slot], home: SlotHome) -> None:
    """Kill slots whose task is past its bounds. Runs until it is cancelled; rests while nothing else runs."""
    seen: dict[int, Running] = {}
    while True:
        home.busy.clear()
        if all(slot.idle for slot in slots):
            await home.busy.wait()
        fast = await _pause(home.brim)
        for slot in slots:
            _watch_one(slot, home, seen, fast=fast)


async def _pause(brim: Brim) -> bool:
    """Until the next poll; True when it comes early, as scratch fills fast."""
    before = brim.free_share()
    for _ in range(round(POLL_SECONDS / GLANCE_SECONDS)):
        await asyncio.sleep(GLANCE_SECONDS)
        if before - brim.free_share() > FAST_SHARE:
            return True
    return False


def _watch_one(slot: Slot, home: SlotHome, seen: dict[int, Running], *, fast: bool) -> None:
    found = None if slot.idle else slot.running()
    if found is None:
        seen.pop(slot.number, None)
        return
    _, running = found
    ready = home.programs.get(running.program)
    # Two equal reads: one alone may have been torn by the slot's writing at that moment. In haste one will do: the
    # verdict is for the task that was read, and whatever else runs is sent again.
    if (fast or seen.get(slot.number) == running) and ready is not None:
        fault = _judge(slot, running, ready.slot_program.program, fast=fast)
        if fault is not None:
            home.brim.look()
            slot.kill(fault, running)
    seen[slot.number] = running


def _judge(slot: Slot, running: Running, program: Program, *, fast: bool) -> Fault | None:
    elapsed = time.monotonic() - running.since
    limits = program.limits
    if elapsed > limits.wall_seconds + WALL_GRACE_SECONDS:
        return timed_out(limits, b"")
    if elapsed <= OUTPUT_AFTER_SECONDS and not fast:
        return None
    return _excess(slot, running, program) or (excess(look(slot.durable), limits) if program.durable else None)


def _excess(slot: Slot, running: Running, program: Program) -> Fault | None:
    limits = program.limits
    root = runner_scratch(slot.scratch, running.program)
    try:
        stdout = (root / "stdout").stat().st_size
        listing = list_tree(root / "out") if wants_output_directory(program) else Listing()
        nameless = _nameless_bytes(slot.pid, root) if wants_output_directory(program) or program.durable else 0
    except OSError:
        # The slot is at work there: directories come and go between two looks. The next poll sees more.
        return None
    if listing.refused:
        return output_too_large(limits, listing.refused)
    total = listing.byte_count + stdout + nameless
    return output_too_large(limits, f"{total} bytes so far") if total > limits.max_output else None


def _nameless_bytes(pid: int, scratch: Path) -> int:
    """What files take that the slot's process has open in scratch, and that have no name any more."""
    device, total = scratch.stat().st_dev, 0
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            if not status.st_nlink and stat.S_ISREG(status.st_mode) and status.st_dev == device:
                total += status.st_blocks * 512
    return total
