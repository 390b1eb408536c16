"""A member without a sandbox: the real wire protocol on a real WebSocket, and a Python function for a tasklet.

It is for what the coordinator must get right whatever members do: answers late, dies, drains, refuses. The real
member has its own tests.
"""

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Outcome, Program, Result, Task
from tasklet_runner.wire.work import (
    Blob,
    CodeKey,
    Discard,
    Ended,
    Forget,
    Grant,
    Hello,
    Open,
    Opened,
    Prepare,
    Prepared,
    PrepareFailed,
    Renew,
    Results,
    Run,
    Stored,
    ToHolder,
    ToMember,
    decode_to_member,
    encode,
)


def echo(task: Task) -> Outcome:
    """The tasklet `cat`."""
    return Outcome(stdout=task.input, fuel_used=1, wall_microseconds=100)


@dataclass
class Script:
    """How members behave: what a task comes to, how long a task takes, what `Prepare` is answered with (`refused`: by
    the program's name).
    """

    run: Callable[[Task], Outcome] = echo
    seconds_per_task: float = 0.0
    prepare_fault: Fault | None = None
    refused: dict[str, Fault] = field(default_factory=dict)
    seconds_to_compile: float = 0.0
    put: Callable[[Grant], Stored] = field(default=lambda grant: Stored(grant.index, grant.attempt))


@dataclass(eq=False)
class ScriptedMember:
    """One member at a unix socket. It counts what it received, by the name of the message."""

    name: str
    directory: Path
    script: Script
    slots: int = 1
    tasklet_memory: int = 512 * 1024 * 1024
    cpu_features: tuple[str, ...] = ()
    incarnation: str = field(default_factory=lambda: secrets.token_hex(16))
    epoch: int = 0
    received: Counter[str] = field(default_factory=Counter)
    renewals: list[str] = field(default_factory=list)
    ran: list[tuple[int, int]] = field(default_factory=list)
    blobs: dict[str, bytearray] = field(default_factory=dict)
    prepares: list[Prepare] = field(default_factory=list)
    program: Program | None = None
    _runner: web.AppRunner | None = None
    _sockets: set[web.WebSocketResponse] = field(default_factory=set)
    _frames: set[asyncio.Task[None]] = field(default_factory=set)
    _slot_locks: list[asyncio.Lock] = field(default_factory=list)
    _dead: bool = False

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"unix://{self.directory}/{self.name}.sock"

    @property
    def seen(self) -> LeasedMember:
        """How a lease lists it."""
        return LeasedMember(
            name=self.name,
            endpoint=self.endpoint,
            incarnation=self.incarnation,
            epoch=self.epoch,
            slots=self.slots,
            tasklet_memory=self.tasklet_memory,
            cpu_features=self.cpu_features,
        )

    async def start(self) -> None:
        """Listen."""
        self._slot_locks = [asyncio.Lock() for _ in range(self.slots)]
        application = web.Application()
        application.router.add_get("/v1/work", self._work)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.directory / f"{self.name}.sock")).start()

    async def stop(self) -> None:
        """Go without a word, like a process that is killed."""
        self._dead = True
        for task in self._frames:
            task.cancel()
        for socket in list(self._sockets):
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def say(self, message: ToHolder) -> None:
        """Say something of its own accord to every holder."""
        for socket in list(self._sockets):
            await socket.send_bytes(encode(message))

    async def end(self, reason: str) -> None:
        """The lease is over at this member."""
        await self.say(Ended(reason))
        for socket in list(self._sockets):
            await socket.close()

    async def _work(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=8 * 1024 * 1024, compress=False)
        await socket.prepare(request)
        sealing = X25519PrivateKey.generate().public_key().public_bytes_raw()
        await socket.send_bytes(encode(Hello(self.name, self.incarnation, "nonce", sealing, self.slots)))
        self._sockets.add(socket)
        try:
            async for frame in socket:
                if frame.type is WSMsgType.BINARY:
                    await self._take(socket, decode_to_member(frame.data))
        finally:
            self._sockets.discard(socket)
        return socket

    async def _take(self, socket: web.WebSocketResponse, message: ToMember) -> None:
        self.received[type(message).__name__] += 1
        match message:
            case Open():
                await socket.send_bytes(encode(Opened(60.0)))
            case Renew():
                self.renewals.append(message.capability)
            case Blob():
                self.blobs.setdefault(message.digest, bytearray()).extend(message.data)
            case Forget():
                for digest in message.digests:
                    del self.blobs[digest]
            case Prepare():
                await self._prepare(socket, message)
            case Run():
                task = asyncio.create_task(self._run(socket, message))
                self._frames.add(task)
                task.add_done_callback(self._frames.discard)
            case Grant():
                await socket.send_bytes(encode(self.script.put(message)))
            case CodeKey() | Discard():
                pass

    async def _prepare(self, socket: web.WebSocketResponse, message: Prepare) -> None:
        self.prepares.append(message)
        self.program = message.program
        fault = self.script.refused.get(message.program.name, self.script.prepare_fault)
        if fault is not None:
            await socket.send_bytes(encode(PrepareFailed(message.program_id, fault)))
            return
        code = b""
        if message.share and not message.code:
            await asyncio.sleep(self.script.seconds_to_compile)
            code = b"code of " + message.program.module.encode()
            digest = hashlib.sha256(code).hexdigest()
            await socket.send_bytes(encode(Blob(digest, len(code), 0, code)))
        await socket.send_bytes(encode(Prepared(message.program_id, hashlib.sha256(code).hexdigest() if code else "")))

    async def _run(self, socket: web.WebSocketResponse, message: Run) -> None:
        async with self._slot_locks[message.slot]:
            if self.script.seconds_per_task:
                await asyncio.sleep(self.script.seconds_per_task * len(message.tasks))
            results = tuple(self._result(task) for task in message.tasks)
            if not self._dead:
                await socket.send_bytes(encode(Results(message.slot, message.frame, results, True)))

    def _result(self, task: Task) -> Result:
        self.ran.append((task.index, task.attempt))
        outcome = self.script.run(task)
        if self.script.seconds_per_task:
            wall = int(self.script.seconds_per_task * 1_000_000)
            outcome = msgspec.structs.replace(outcome, wall_microseconds=wall)
        return Result(task.index, task.attempt, outcome)
