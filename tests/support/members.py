"""A real member process and the two keys that speak to it."""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.errors import UnreachableError
from tasklet_runner.wire.member import MemberState, StateReport
from tasklet_runner.wire.programs import Language, Limits, Program, Result, Task
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Bind, Capability, Confirm, MemberGrant, Retire
from tasklet_runner.wire.work import (
    BLOB_PIECE_BYTES,
    Blob,
    NotRun,
    Prepare,
    Prepared,
    PrepareFailed,
    Results,
    Run,
    ToHolder,
)

PATIENCE_SECONDS = 60.0

LEASE = "lease-1"


@dataclass(frozen=True)
class Address:
    """What a work connection needs to know of a member."""

    name: str
    endpoint: str
    incarnation: str


@dataclass
class MemberRig:
    """One member below `root`, the fabric's and the holder's keys, and clients."""

    root: Path
    arguments: tuple[str, ...] = ()
    name: str = "m0"
    fabric: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    holder: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    process: "subprocess.Popen[bytes] | None" = None
    life: int = -1
    issued_at: float = 0.0
    prefix: tuple[str, ...] = ()

    @property
    def endpoint(self) -> str:
        return f"unix://{self.root}/m.sock"

    @property
    def listen(self) -> str:
        return self.endpoint

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def start(self) -> "subprocess.Popen[bytes]":
        life, self.life = os.pipe()
        try:
            self.process = subprocess.Popen(
                [
                    *(*self.prefix, sys.executable, "-m", "tasklet_runner", "member", "--listen", self.listen),
                    *("--name", self.name, "--fabric-key", public_text(self.fabric)),
                    *("--scratch", str(self.scratch), "--control-fd", str(life), *self.arguments),
                ],
                pass_fds=(life,),
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(life)
        return self.process

    async def ready(self, client: MemberClient, state: MemberState = MemberState.READY) -> StateReport:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(UnreachableError):
                    report = await client.state()
                    if report.state is state:
                        return report
                await asyncio.sleep(0.02)

    def bind(self, state: StateReport, seconds: float = 60, **changes: object) -> Bind:
        self.issued_at = time.time()
        words = {
            "lease_uid": LEASE,
            "holder_key": public_text(self.holder),
            "member": state.member,
            "incarnation": state.incarnation,
            "epoch": state.epoch + 1,
            "issued_at": self.issued_at,
            "deadline": self.issued_at + seconds,
        }
        return Bind(**(words | changes))  # type: ignore[arg-type]  # the tests' changes are of the fields' types

    def capability(self, state: StateReport, seconds: float = 60, **changes: object) -> Capability:
        words = {
            "lease_uid": LEASE,
            "holder_key": public_text(self.holder),
            "members": (MemberGrant(state.member, state.incarnation, state.epoch),),
            "issued_at": self.issued_at,
            "deadline": self.issued_at + seconds,
            "expires_at": self.issued_at + 60,
        }
        return Capability(**(words | changes))  # type: ignore[arg-type]  # as above

    def confirm(self, state: StateReport) -> str:
        statement = Confirm(lease_uid=LEASE, member=state.member, incarnation=state.incarnation, epoch=state.epoch)
        return self.signed(statement)

    def retire(self, state: StateReport, epoch: int | None = None) -> str:
        number = state.epoch if epoch is None else epoch
        return self.signed(Retire(member=state.member, incarnation=state.incarnation, epoch=number))

    def signed(self, statement: Bind | Capability | Confirm | Retire) -> str:
        return sign(statement, self.fabric)

    async def claimed(self, client: MemberClient, seconds: float = 60) -> StateReport:
        """Bound and confirmed."""
        await client.bind(self.signed(self.bind(await self.ready(client), seconds)))
        state = await client.state()
        await client.confirm(self.confirm(state))
        return state

    async def work(self, state: StateReport, capability: str) -> WorkConnection:
        return await WorkConnection.open(self.address(state), capability, self.holder)

    def address(self, state: StateReport) -> Address:
        return Address(state.member, self.endpoint, state.incarnation)

    def files_with(self, marker: bytes) -> list[str]:
        """Files below scratch, and names of anything there, that hold the marker."""
        found = list(self.scratch.rglob("*"))
        named = [str(path) for path in found if marker in os.fsencode(path.name)]
        return named + [str(path) for path in found if path.is_file() and marker in path.read_bytes()]

    def slot_pids(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> None:
        if self.life >= 0:
            os.close(self.life)
            self.life = -1
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)
            assert self.process.stderr is not None
            self.process.stderr.close()


@contextlib.asynccontextmanager
async def member(
    root: Path, *arguments: str, prefix: tuple[str, ...] = ()
) -> AsyncIterator[tuple[MemberRig, MemberClient]]:
    """A started member and a client; stopped afterwards. `prefix`: of the command, such as `on_small_disk` gives."""
    rig = MemberRig(root, arguments, prefix=prefix)
    rig.start()
    client = MemberClient(rig.endpoint)
    try:
        yield rig, client
    finally:
        await client.close()
        rig.stop()


@contextlib.asynccontextmanager
async def leased(
    root: Path, *arguments: str, seconds: float = 60
) -> AsyncIterator[tuple[MemberRig, MemberClient, WorkConnection]]:
    """A member with an open connection of its holder."""
    async with member(root, *arguments) as (rig, client):
        state = await rig.claimed(client, seconds)
        connection = await rig.work(state, rig.signed(rig.capability(state, seconds)))
        try:
            yield rig, client, connection
        finally:
            await connection.close()


async def prepare(
    connection: WorkConnection, module: bytes, *, share: bool = False, **limits: int
) -> Prepared | PrepareFailed:
    """Send a module and make it ready as program 0."""
    digest = await send_blob(connection, module)
    program = Program(name="tasklet", language=Language.WASM, source=digest, limits=Limits(**limits))
    await connection.send(Prepare(0, program, share=share))
    return await expect(connection, Prepared | PrepareFailed)  # type: ignore[arg-type,return-value]  # a union works


async def send_blob(connection: WorkConnection, data: bytes) -> str:
    """Send one blob, in pieces; its digest."""
    digest = hashlib.sha256(data).hexdigest()
    for offset in range(0, max(1, len(data)), BLOB_PIECE_BYTES):
        await connection.send(Blob(digest, len(data), offset, data[offset : offset + BLOB_PIECE_BYTES]))
    return digest


async def send_blobs(connection: WorkConnection, *blobs: bytes) -> list[str]:
    """Send several; their digests."""
    return [await send_blob(connection, data) for data in blobs]


async def expect(connection: WorkConnection, kind: type[ToHolder]) -> ToHolder:
    """The next message, which must be of this kind."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        message = await connection.receive()
    assert isinstance(message, kind), message
    return message


async def run(connection: WorkConnection, count: int, frame: int = 1, slot: int = 0) -> tuple[list[Result], list[int]]:
    """Run so many tasks in one frame: their results, and the indexes that were not run."""
    await connection.send(Run(slot, frame, 0, tuple(Task(n, 1, f"{n}-x", b"input %d\n" % n) for n in range(count))))
    results: list[Result] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message = await connection.receive()
            if isinstance(message, NotRun):
                return results, list(message.indexes)
            assert isinstance(message, Results), message
            results += message.results
            if message.done:
                return results, []
