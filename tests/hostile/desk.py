"""A holder at work: many programs and frames at once over one connection, each answer to whom it belongs."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Hashable, Sequence
from itertools import count
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.member import StateReport
from tasklet_runner.wire.programs import Program, Result, Task
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.work import (
    BLOB_PIECE_BYTES,
    Blob,
    Checkpointed,
    NotRun,
    Prepare,
    Prepared,
    PrepareFailed,
    Results,
    Run,
)
from tests.support.members import MemberRig
from tests.support.python_members import KEY, encrypted_python, give_key

ANSWER_SECONDS = 100.0
LEASE_SECONDS = 3600.0


class Desk:
    """One connection. Safe for many tasks of the event loop; `kept`: news of checkpoints."""

    def __init__(self, connection: WorkConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._waiting: dict[Hashable, asyncio.Future[Any]] = {}
        self._results: dict[int, list[Result]] = {}
        self._sent: set[str] = set()
        self.kept: asyncio.Queue[Checkpointed] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    @property
    def connection(self) -> WorkConnection:
        """What the desk talks through."""
        return self._connection

    async def give_python(self) -> str:
        """The code key and the interpreter's code; its digest."""
        await give_key(self._connection, KEY)
        return await self.send(await encrypted_python())

    async def send(self, data: bytes) -> str:
        """A blob, unless it was sent before; its digest."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._sent:
            self._sent.add(digest)
            for offset in range(0, max(1, len(data)), BLOB_PIECE_BYTES):
                piece = data[offset : offset + BLOB_PIECE_BYTES]
                await self._connection.send(Blob(digest, len(data), offset, piece))
        return digest

    async def prepare(self, program: Program, code: str = "") -> Prepared | PrepareFailed:
        """Make it ready; the answer names the number under which it is run."""
        number = next(self._numbers)
        answer = self._expect(("program", number))
        await self._connection.send(Prepare(number, program, code=code))
        return await self._answered(answer)  # type: ignore[no-any-return]  # filed under its number below

    async def run(self, program: int, slot: int, tasks: Sequence[Task]) -> tuple[list[Result], list[int]]:
        """The results of one frame, and the indexes of tasks that were not run."""
        frame = next(self._numbers)
        answer = self._expect(("frame", frame))
        await self._connection.send(Run(slot, frame, program, tuple(tasks)))
        missing = await self._answered(answer)
        return self._results.pop(frame, []), missing

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()
        await self._reading

    def _expect(self, key: Hashable) -> "asyncio.Future[Any]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            answer.set_exception(AssertionError("the connection is over"))
        self._waiting[key] = answer
        return answer

    async def _answered(self, answer: "asyncio.Future[Any]") -> Any:  # noqa: ANN401 - a message of the kind asked for
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer

    async def _read(self) -> None:
        why = "the connection was closed"
        try:
            async for message in self._connection:
                self._file(message)
        except Exception as error:  # noqa: BLE001 - told to all who wait, each of which fails by it
            why = f"the connection is lost: {error!r}"
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(AssertionError(why))
                answer.exception()

    def _file(self, message: object) -> None:
        if isinstance(message, Prepared | PrepareFailed):
            self._settle(("program", message.program_id), message)
        elif isinstance(message, Results):
            self._results.setdefault(message.frame, []).extend(message.results)
            if message.done:
                self._settle(("frame", message.frame), [])
        elif isinstance(message, Checkpointed):
            self.kept.put_nowait(message)
        elif isinstance(message, NotRun):
            self._settle(("frame", message.frame), list(message.indexes))
        else:
            raise AssertionError(f"an unasked-for {message}")  # noqa: TRY004 - the member did what it must not

    def _settle(self, key: Hashable, value: object) -> None:
        answer = self._waiting.pop(key)
        if not answer.done():
            answer.set_result(value)


class Holder:
    """Somebody with a key and a lease of a name of its own, which may hold a member again and again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._key = Ed25519PrivateKey.generate()

    @contextlib.asynccontextmanager
    async def holding(self, rig: MemberRig, client: MemberClient) -> "AsyncIterator[Held]":
        """Bind the member and open a desk; in the end give it back."""
        words = {"lease_uid": self._name, "holder_key": public_text(self._key)}
        await client.bind(rig.signed(rig.bind(await rig.ready(client), LEASE_SECONDS, **words)))
        state = await client.state()
        held = Held(rig, client, state, self._key, rig.signed(rig.capability(state, LEASE_SECONDS, **words)))
        try:
            yield await held.opened()
        finally:
            await held.release()


class Held:
    """A member that is held: its state at the bind, and desks at it."""

    def __init__(
        self, rig: MemberRig, client: MemberClient, state: StateReport, key: Ed25519PrivateKey, capability: str
    ) -> None:
        self.state = state
        self._rig, self._client, self._key, self._capability = rig, client, key, capability
        self._desks: list[Desk] = []

    async def opened(self) -> Self:
        """With its first desk, which confirms the bind."""
        await self.another()
        return self

    @property
    def desk(self) -> Desk:
        """The first desk."""
        return self._desks[0]

    async def another(self) -> Desk:
        """One more connection of the same holder."""
        address = self._rig.address(self.state)
        self._desks.append(Desk(await WorkConnection.open(address, self._capability, self._key)))
        return self._desks[-1]

    async def release(self) -> None:
        """Give the member back; returns when its scratch is wiped and nobody is connected."""
        try:
            await self._client.release(self._capability)
        finally:
            for desk in self._desks:
                await desk.close()
