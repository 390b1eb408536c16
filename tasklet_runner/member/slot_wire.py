"""What a member's parent process and its slots say to each other over a socketpair.

A fixed header and a payload each way. The parent passes the holder's `Run` on as it came, and the slot's `Results` go
to the holder as they are: the parent decodes neither inputs nor outputs. Native code comes as a descriptor over a
second socketpair, before the `PREPARE` that it belongs to.
"""

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Program
from tasklet_runner.wire.work import MAX_MESSAGE_BYTES

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


@dataclass(frozen=True)
class Word:
    """What a slot said: RESULTS, PREPARED or STANDING. `number`: a frame's sequence, or a program; `count`: results."""

    verb: Verb
    number: int
    count: int
    payload: bytes
    done: bool


_FROM_SLOTS = (Verb.RESULTS, Verb.PREPARED, Verb.STANDING)


async def read_word(reader: asyncio.StreamReader) -> Word:
    """The next thing that a slot says. A slot runs what others wrote, so nothing is believed of it.

    Raises ProtocolError for what no slot says, asyncio.IncompleteReadError and OSError at its end.
    """
    verb, number, count, length, done = FROM_SLOT.unpack(await reader.readexactly(FROM_SLOT.size))
    if verb not in _FROM_SLOTS or length > MAX_MESSAGE_BYTES or done > 1:
        raise ProtocolError(f"a slot says {verb} with {length:,} bytes", remedy="the member is replaced")
    return Word(Verb(verb), number, count, await reader.readexactly(length), bool(done))


def answer_of(word: Word) -> SlotAnswer:
    """What PREPARED carries. Raises ProtocolError."""
    try:
        return msgspec.msgpack.decode(word.payload, type=SlotAnswer)
    except UNREADABLE as error:
        raise ProtocolError(f"a slot's answer cannot be read: {error}", remedy="the member is replaced") from error


EXIT_SCRATCH_FAILED = 74
"""A slot ends so (EX_IOERR of sysexits.h) when its scratch itself fails: the member is of no further use."""
