"""A member under lease as the coordinator holds it: one connection, and slots with frames in flight."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasklet_runner.coordinator.blobs import BlobFile
from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.lanes import Lane
from tasklet_runner.coordinator.surroundings import Connection
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.programs import Outcome
from tasklet_runner.wire.work import Forget, ToMember

if TYPE_CHECKING:
    from tasklet_runner.coordinator.groups import LeaseGroup


@dataclass(eq=False, slots=True)
class Frame:
    """Chunks on their way to one slot; those whose result came are taken out."""

    number: int
    lane: Lane
    chunks: dict[int, Chunk]
    blob: BlobFile | None = None


@dataclass(eq=False, slots=True)
class Slot:
    """One slot of a member. It works for one lane at a time; `companions` are the slots that a large chunk reserves
    beside it.
    """

    handle: "Handle"
    number: int
    lane: Lane | None = None
    frames: dict[int, Frame] = field(default_factory=dict)
    companions: "list[Slot]" = field(default_factory=list)
    reserved: bool = False


@dataclass(eq=False, slots=True)
class Held:
    """A result whose output the member holds until it is in the store, which it was told to find at `endpoint`."""

    lane: Lane
    chunk: Chunk
    outcome: Outcome
    endpoint: str = ""


@dataclass(eq=False)
class Handle:
    """The coordinator's side of one member. `saving_for`: a lane for which idle slots are being kept free together."""

    member: LeasedMember
    group: "LeaseGroup"
    connection: Connection
    capability: str
    slots: list[Slot] = field(default_factory=list)
    prepared: set[int] = field(default_factory=set)
    announced: set[int] = field(default_factory=set)
    blobs_sent: set[str] = field(default_factory=set)
    held: dict[tuple[int, int], Held] = field(default_factory=dict)
    draining: bool = False
    closed: bool = False
    saving_for: Lane | None = None
    frames_sent: int = 0
    task: asyncio.Task[None] | None = None
    input_uses: Counter[str] = field(default_factory=Counter)
    _outbox: deque[ToMember | BlobFile] = field(default_factory=deque)
    _posted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.slots = [Slot(self, number) for number in range(self.connection.hello.slots)]

    @property
    def idle(self) -> bool:
        """True when nothing runs or waits there."""
        return not self.held and not any(slot.frames or slot.reserved for slot in self.slots)

    def satisfies(self, requirements: Requirements) -> bool:
        """True when a chunk with these requirements can surely run here."""
        return (
            len(self.slots) >= requirements.slots
            and self.member.tasklet_memory * len(self.slots) >= requirements.memory
            and set(requirements.cpu_features) <= set(self.member.cpu_features)
        )

    def post(self, message: ToMember | BlobFile) -> None:
        """Send in order, without waiting."""
        self._outbox.append(message)
        self._posted.set()

    def post_blob(self, blob: BlobFile) -> None:
        """Send a blob, unless the member has it."""
        if blob.digest not in self.blobs_sent:
            self.blobs_sent.add(blob.digest)
            self.post(blob)

    def lend_input(self, blob: BlobFile) -> None:
        """Send an input archive; two chunks with the same bytes share one."""
        self.input_uses[blob.digest] += 1
        if self.input_uses[blob.digest] == 1:
            self.post(blob)

    def forget_input(self, blob: BlobFile) -> None:
        """A chunk with this archive is done here."""
        self.input_uses[blob.digest] -= 1
        if not self.input_uses[blob.digest]:
            del self.input_uses[blob.digest]
            self.post(Forget((blob.digest,)))

    async def send_posted(self) -> str:
        """Send what is posted until the connection fails; returns why it did."""
        try:
            while True:
                while self._outbox:
                    await self._send(self._outbox.popleft())
                self._posted.clear()
                await self._posted.wait()
        except LeaseGridError as error:
            return str(error)
        except OSError as error:
            return f"a blob cannot be read: {error}"

    async def _send(self, message: ToMember | BlobFile) -> None:
        if not isinstance(message, BlobFile):
            await self.connection.send(message)
            return
        for piece in message.pieces():
            await self.connection.send(piece)
