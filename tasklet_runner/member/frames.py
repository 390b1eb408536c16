"""Frames of tasks as the parent process sees them: addressed and counted, their tasks left encoded."""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from tasklet_runner.member.fetching import Intake
from tasklet_runner.member.upkeep import Upkeep
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.programs import Durable, Fetch, Task
from tasklet_runner.wire.work import Blob, CodeKey, Discard, Follow, Forget, Grant, Open, Prepare, Renew


class Run(msgspec.Struct, frozen=True, tag="Run", tag_field="t"):
    """`wire.work.Run` with its tasks undecoded."""

    slot: int
    frame: int
    program_id: int
    tasks: msgspec.Raw


FromHolder = Open | Renew | CodeKey | Blob | Forget | Prepare | Run | Grant | Follow | Discard

_decoder: msgspec.msgpack.Decoder[FromHolder] = msgspec.msgpack.Decoder(FromHolder)
_tasks = msgspec.msgpack.Decoder(tuple[Task, ...])

_ONE_TASK = 0x91  # MessagePack's array of one element


class Heading(msgspec.Struct, frozen=True, array_like=True):
    """`wire.programs.Task` with its input undecoded."""

    index: int
    attempt: int
    chunk_id: str
    input: msgspec.Raw
    path: str = ""
    input_blob: str = ""
    fetch: tuple[Fetch, ...] = ()
    durable: Durable | None = None


_alone = msgspec.msgpack.Decoder(tuple[Heading])


def decode(data: bytes | memoryview) -> FromHolder:
    """What a holder sent, of which `wire.work.checked` took the checksum. Raises ProtocolError for anything else."""
    try:
        return _decoder.decode(data)
    except UNREADABLE as error:
        raise ProtocolError(f"a message to a member that cannot be read: {error}", remedy="see wire.work") from error


class Sink(Protocol):
    """Where the results of a frame go: the connection that sent it."""

    @property
    def closed(self) -> bool:
        """True when nobody listens any more."""
        ...

    async def deliver(self, data: bytes) -> None:
        """Pass an encoded message on; waits while the holder is slow to read."""
        ...


@dataclass(eq=False)
class Frame:
    """One frame on its way through a slot.

    `data`: the message as it came, without its checksum; `received`: results that went back; `intake`: the input that
    is fetched first; `upkeep`: the /durable of its task.
    """

    sink: Sink
    head: Run
    data: bytes | memoryview
    program: int
    sequence: int
    received: int = 0
    sent: bool = False
    intake: Intake | None = None
    upkeep: Upkeep | None = None

    @property
    def waits_for(self) -> Intake | Upkeep | None:
        """What must be there before a slot gets it, and is not yet."""
        return next((one for one in (self.intake, self.upkeep) if one is not None and not one.ready), None)

    def heading(self) -> Heading | None:
        """What it says of its task: of one that came alone, and that can be read."""
        if memoryview(self.head.tasks)[0] != _ONE_TASK:
            return None
        try:
            (task,) = _alone.decode(self.head.tasks)
        except UNREADABLE:
            return None
        return task

    def tasks(self) -> tuple[Task, ...]:
        """Its tasks, decoded: only for a frame that was cut short. Empty when they cannot be read."""
        try:
            return _tasks.decode(self.head.tasks)
        except UNREADABLE:
            return ()
