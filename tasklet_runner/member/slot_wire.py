"""What a member's parent process and its slots say to each other over a socketpair.

A fixed header and a payload each way. The parent passes the holder's `Run` on as it came, and the slot's `Results` go
to the holder as they are: the parent decodes neither inputs nor outputs. Native code comes as a descriptor over a
second socketpair, before the `PREPARE` that it belongs to.
"""

import struct
from enum import IntEnum
from pathlib import Path

import msgspec

from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Program

TO_SLOT = struct.Struct("<BIII")
"""Verb, program number, frame sequence number, payload length."""

FROM_SLOT = struct.Struct("<BIIIB")
"""Verb, sequence (or program number), number of results, payload length, 1 when it is the frame's last piece."""


class Verb(IntEnum):
    """RUN and RESULTS carry frames; PREPARED answers PREPARE; DROP forgets a program; STANDING is the first word."""

    RUN = 1
    PREPARE = 2
    DROP = 3
    RESULTS = 4
    PREPARED = 5
    STANDING = 6


def fetched_path(directory: Path, slot: int, sequence: int) -> Path:
    """Where the fetched input of that frame of that slot stands, for the parent that puts it there and for the slot."""
    return directory / f"{slot}-{sequence}"


def durable_path(scratch: Path, slot: int) -> Path:
    """What that slot's tasks see as /durable, one after the other: the parent fills and empties it between them."""
    return scratch / "durable" / str(slot)


class SlotProgram(msgspec.Struct, frozen=True):
    """What a slot needs beside native code: the program, the Python file, (guest path, directory) of mounts."""

    program: Program
    source: str
    mounts: tuple[tuple[str, str], ...] = ()


class SlotAnswer(msgspec.Struct, frozen=True):
    """The payload of PREPARED: a fault, or nothing."""

    fault: Fault | None = None


EXIT_SCRATCH_FAILED = 74
"""A slot ends so (EX_IOERR of sysexits.h) when its scratch itself fails: the member is of no further use."""
