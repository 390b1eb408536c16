"""What all slots of a member share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasklet_runner.member.backlog import Supplies
from tasklet_runner.member.slot_wire import SlotProgram
from tasklet_runner.sandbox.brim import Brim


@dataclass(frozen=True)
class ReadyProgram:
    """A program with its native code, for slots that stand and for those that replace them. `code_fd` is not owned."""

    slot_program: SlotProgram
    code_fd: int


@dataclass(frozen=True)
class SlotHome:
    """What all slots of a member share. `programs` is read again for each new process; `supplies` are the lease's;
    `busy` is set when a frame comes.
    """

    scratch: Path
    programs: Mapping[int, ReadyProgram]
    supplies: Callable[[], Supplies]
    on_taint: Callable[[], None]
    on_scratch_failed: Callable[[], None]
    brim: Brim
    busy: asyncio.Event = field(default_factory=asyncio.Event)
