"""One holder's connection: proof of possession, then blobs, programs, frames and grants until it or the lease ends."""

import asyncio
import contextlib
import hashlib
import itertools
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from tasklet_runner.doors.guests import Guest
from tasklet_runner.member import frames
from tasklet_runner.member.blobs import BlobReceipt
from tasklet_runner.member.following import Followers
from tasklet_runner.member.frames import Frame
from tasklet_runner.member.held import HeldOutputs
from tasklet_runner.member.preparing import make_program
from tasklet_runner.member.sealing import associated_data, encrypt_code
from tasklet_runner.sandbox.engine import fingerprint
from tasklet_runner.wire.errors import FaultError, ProtocolError, RefusedError
from tasklet_runner.wire.work import (
    BLOB_PIECE_BYTES,
    Blob,
    CodeKey,
    Discard,
    Draining,
    Ended,
    Follow,
    Forget,
    Grant,
    Hello,
    NotRun,
    Open,
    Opened,
    Prepare,
    Prepared,
    PrepareFailed,
    Refused,
    Renew,
    ToHolder,
    checked,
    encode,
)

if TYPE_CHECKING:
    from tasklet_runner.member.core import MemberCore
    from tasklet_runner.member.workshop import Workshop

OPEN_SECONDS = 10.0
"""A holder that has not opened the connection by then is turned away."""

OPEN_BYTES = 64 * 1024
"""So much a stranger may send: an `Open` has a capability and a challenge."""

_serials = itertools.count(1)


class HolderConnection:
    """Serves one WebSocket. It is the `Sink` of the frames that came over it."""

    def __init__(
        self, core: "MemberCore", workshop: "Workshop", socket: web.WebSocketResponse, guest: Guest | None = None
    ) -> None:
        self._core = core
        self._guest = guest
        self._workshop = workshop
        self._socket = socket
        self._serial = next(_serials)
        self._closed = False
        self._ending = False
        self._code_key: bytes | None = None
        self._blobs: dict[str, BlobReceipt | None] = {}
        self._programs: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = HeldOutputs(core.settings.scratch / "held", self.say, workshop.stores, workshop.traffic)
        self._followers = Followers(workshop.pantry, self._spawn)
        self._acts: dict[type[Any], Callable[[Any], Awaitable[None]]] = {
            Blob: self._blob,
            Prepare: self._prepare,
            Renew: self._renew,
            CodeKey: self._take_code_key,
            Forget: self._forget,
            Grant: self._grant,
            Follow: self._follow,
            Discard: self._discard,
        }

    @property
    def closed(self) -> bool:
        """True when nobody listens any more."""
        return self._closed

    async def deliver(self, data: bytes) -> None:
        """Pass an encoded message on; a holder that is gone hears nothing."""
        if self._closed:
            return
        try:
            await self._socket.send_bytes(data)
        except (ConnectionError, RuntimeError):
            self._closed = True

    async def say(self, message: ToHolder) -> None:
        """Send one message."""
        await self.deliver(encode(message))

    async def serve(self) -> None:
        """The whole life of the connection."""
        try:
            if await self._prove():
                await self._serve_opened()
        except (RefusedError, ProtocolError) as error:
            await self._refuse(error)
        finally:
            self._closed = True
            self._workshop.connections.discard(self)
            await self._socket.close()

    async def end(self, reason: str) -> None:
        """The lease has ended: stop what it asked for, say so, close. Never waits for a holder that does not read."""
        self._ending = True
        await self._stop_tasks()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._say_end(reason), 0.2)
        self._closed = True

    async def drain(self, reason: str) -> None:
        """Say that the member is about to go."""
        await self.say(Draining(reason))

    async def _stop_tasks(self) -> None:
        # Awaited, as each may have a child process, and the reset proves that none is left.
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_end(self, reason: str) -> None:
        await self.say(Ended(reason))
        await self._socket.close()

    async def _prove(self) -> bool:
        if self._guest is not None:
            self._guest.distrust(OPEN_BYTES)
        identity = self._core.states.identity
        nonce = secrets.token_urlsafe(32)
        key = self._workshop.sealing_key.public
        await self.say(Hello(identity.member, identity.incarnation, nonce, key, identity.slots))
        try:
            message = await self._socket.receive(timeout=OPEN_SECONDS)
        except TimeoutError:
            raise ProtocolError(f"nothing was opened in {OPEN_SECONDS:g} s", remedy="send Open at once") from None
        if message.type is not WSMsgType.BINARY:
            return False
        wanted = frames.decode(checked(message.data))
        if not isinstance(wanted, Open):
            raise ProtocolError("the first message must be Open", remedy="see wire.work")
        seconds_left = self._core.open_work(wanted.capability, wanted.challenge, lambda signed: signed == nonce)
        # Before anything is waited for: if the lease ends while Opened is on its way, so does this connection. One that
        # was not known then would stand there under the next lease.
        self._workshop.connections.add(self)
        if self._guest is not None:
            # From here on it is found out by heartbeats whether somebody is there.
            self._guest.trust()
        await self.say(Opened(seconds_left))
        return True

    async def _serve_opened(self) -> None:
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.BINARY:
                    raise ProtocolError("only binary messages are understood", remedy="see wire.work")
                body = checked(message.data)
                await self._act(frames.decode(body), body)
        except ProtocolError as error:
            # Told here, before the connection counts as closed and nothing more is said.
            await self._refuse(error)
        finally:
            self._closed = True
            self._leave()

    async def _act(self, message: frames.FromHolder, data: memoryview) -> None:
        if self._ending:
            return
        if isinstance(message, frames.Run):
            await self._run(message, data)
            return
        act = self._acts.get(type(message))
        if act is None:
            raise ProtocolError("the connection is open already", remedy="send Open once")
        try:
            await act(message)
        except RefusedError as error:
            await self._refuse(error)

    async def _refuse(self, error: RefusedError | ProtocolError) -> None:
        code = error.reason if isinstance(error, RefusedError) else error.code
        await self.say(Refused(code, error.cause, error.remedy))

    def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._followers.leave()
        for receipt in self._blobs.values():
            if receipt is not None:
                receipt.abandon()
        if not self._core.serving:
            return
        for slot in self._workshop.slots:
            slot.abandon(self)
        for number in self._programs.values():
            self._workshop.drop(number)

    async def _run(self, head: frames.Run, data: memoryview) -> None:
        number = self._programs.get(head.program_id)
        slots = self._workshop.slots
        if not 0 <= head.slot < len(slots):
            raise ProtocolError(f"there is no slot {head.slot}, only 0 to {len(slots) - 1}", remedy="see Hello")
        frame = Frame(self, head, data, number or 0, 0)
        if number is None or not self._core.serving:
            await self.say(NotRun(head.slot, head.frame, tuple(task.index for task in frame.tasks())))
            return
        await slots[head.slot].submit(frame)

    async def _blob(self, piece: Blob) -> None:
        shelf = self._workshop.blobs
        if piece.offset == 0:
            self._blobs.pop(piece.digest, None)
            if shelf.has(piece.digest):
                self._blobs[piece.digest] = None
                return
            self._blobs[piece.digest] = None  # until there is a receipt, its pieces are passed over
            self._blobs[piece.digest] = BlobReceipt(shelf, piece, self._serial)
        receipt = self._blobs.get(piece.digest)
        if receipt is None:
            return
        self._blobs[piece.digest] = None
        if not receipt.add(piece):
            self._blobs[piece.digest] = receipt

    async def _forget(self, message: Forget) -> None:
        for digest in message.digests:
            self._workshop.blobs.forget(digest)

    async def _take_code_key(self, message: CodeKey) -> None:
        self._code_key = self._workshop.sealing_key.open(message.sealed)

    async def _renew(self, message: Renew) -> None:
        self._core.renew(message.capability)

    async def _prepare(self, message: Prepare) -> None:
        # Beside the reading, so that a renewal is heard while a large module compiles.
        self._spawn(self._make_ready(message))

    async def _make_ready(self, message: Prepare) -> None:
        number = next(self._workshop.numbers)
        try:
            ready, code = await make_program(self._workshop, message, self._code_key)
            fault = await self._workshop.prepare(number, ready)
        except FaultError as error:
            fault = error.fault
        if fault is not None:
            await self.say(PrepareFailed(message.program_id, fault))
            return
        self._programs[message.program_id] = number
        shared = ""
        if message.share and code.compile_milliseconds and self._code_key is not None:
            shared = await self._share(message.program.module, code.descriptor, self._code_key)
        await self.say(Prepared(message.program_id, shared, code.compile_milliseconds))

    async def _share(self, module: str, descriptor: int, key: bytes) -> str:
        encrypted = encrypt_code(key, descriptor, associated_data(module, fingerprint()))
        digest = hashlib.sha256(encrypted).hexdigest()
        for offset in range(0, len(encrypted), BLOB_PIECE_BYTES):
            piece = encrypted[offset : offset + BLOB_PIECE_BYTES]
            await self.say(Blob(digest, len(encrypted), offset, piece))
        return digest

    async def _grant(self, message: Grant) -> None:
        self._spawn(self._held.put(message))

    async def _follow(self, message: Follow) -> None:
        self._followers.follow(message)

    async def _discard(self, message: Discard) -> None:
        self._held.discard(message.index, message.attempt)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
