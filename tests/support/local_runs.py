"""Plans on real members of this machine: a local fabric, a job's store that members reach, coordinators one by one."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.local.engine import LocalSettings
from leasegrid.local.fabric import LocalFabric
from leasegrid.local.locks import holder
from leasegrid.local.machine import Machine
from leasegrid.local.state import StateDirectory
from tasklet_runner.coordinator.code import CodeVault
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import RunReport
from tasklet_runner.coordinator.surroundings import Connection, Surroundings, open_work_connection
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.plan.types import Plan, RetryPolicy, Source, TaskletPlan
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import all_commits
from tasklet_runner.store.server import serve
from tasklet_runner.wire.programs import Language
from tasklet_runner.wire.work import Hello, ToHolder, ToMember

PATIENCE_SECONDS = 90.0
FAST = RetryPolicy(max_retries=10, initial_backoff_milliseconds=50, max_backoff_milliseconds=500)

Meanwhile = Callable[[Coordinator], Awaitable[None]]
"""Something that goes on beside a run."""


@dataclass
class Wire:
    """What is seen of all work connections. `hears` may keep a member's message from the coordinator: it says True.
    `holds` is awaited before the coordinator hears a message.
    """

    sends: Callable[[LeasedMember, ToMember], None] = lambda member, message: None
    hears: Callable[[LeasedMember, ToHolder], bool] = lambda member, message: False
    holds: Callable[[LeasedMember, ToHolder], Awaitable[None]] | None = None

    async def connect(self, member: LeasedMember, capability: str, holder: Ed25519PrivateKey) -> Connection:
        """A real connection that this one looks into."""
        return _Tapped(self, member, await open_work_connection(member, capability, holder))


@dataclass
class _Tapped:
    wire: Wire
    member: LeasedMember
    real: Connection

    @property
    def hello(self) -> Hello:
        return self.real.hello

    async def send(self, message: ToMember) -> None:
        self.wire.sends(self.member, message)
        await self.real.send(message)

    async def __aiter__(self) -> AsyncIterator[ToHolder]:
        async for message in self.real:
            if self.wire.holds is not None:
                await self.wire.holds(self.member, message)
            if not self.wire.hears(self.member, message):
                yield message

    async def close(self) -> None:
        await self.real.close()


@dataclass
class LocalRuns:
    """Runs plans one after another over one job store."""

    directory: Path
    fabric: LocalFabric
    store: DiskStore
    surroundings: Surroundings
    wire: Wire = field(default_factory=Wire)

    async def run(self, given: Plan, meanwhile: Meanwhile | None = None) -> RunReport:
        """Run the plan to its end, with something else beside it."""
        coordinator = Coordinator(given, replace(self.surroundings, connect=self.wire.connect))
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            beside = tasks.create_task(_beside(meanwhile, coordinator))
            report = await coordinator.run()
            beside.cancel()
        return report

    async def outputs(self, stage: str) -> list[bytes]:
        """Every stdout of a stage, in index order."""
        return [
            await self.store.read(commit.key()) async for commit in all_commits(self.store, stage) if not commit.fault
        ]

    def tasklet(self, name: str, module: bytes) -> TaskletPlan:
        """A tasklet of this module."""
        path = self.directory / f"{name}.wasm"
        path.write_bytes(module)
        return TaskletPlan(name=name, language=Language.WASM, source=Source(uri=str(path)))

    def store_endpoints(self) -> list[str]:
        """Where the members listen that hold objects in memory."""
        runtime = self.fabric.runtime.path
        return [f"unix://{runtime}/m/{place.name}" for place in sorted((runtime / "o").iterdir())]

    def kill_volume_servers(self) -> None:
        """SIGKILL each process that serves a volume."""
        for volume in (self.directory / "state" / "stores").iterdir():
            os.kill(holder(volume / "store" / "lock"), signal.SIGKILL)


async def _beside(meanwhile: Meanwhile | None, coordinator: Coordinator) -> None:
    if meanwhile is not None:
        await meanwhile(coordinator)


@asynccontextmanager
async def local_runs(directory: Path, workers: int = 2, quota_bytes: int = 1 << 30) -> AsyncIterator[LocalRuns]:
    """Everything that runs need, and its end."""
    for needed in (directory / "code", directory / "scratch"):
        needed.mkdir()
    holder = Ed25519PrivateKey.generate()
    state = StateDirectory(directory / "state")
    settings = LocalSettings(workers=workers, machine=Machine(cores=2, memory=8 * 1024**3))
    store = DiskStore.open(directory / "store", uid="job", quota_bytes=quota_bytes, term=1)
    server = await serve(store, directory / "job.sock", holder.public_key())
    try:
        async with LocalFabric(state, settings) as fabric:
            yield LocalRuns(
                directory,
                fabric,
                store,
                Surroundings(
                    fabric=fabric,
                    store=store,
                    holder=holder,
                    code=CodeVault(directory / "code"),
                    scratch=directory / "scratch",
                ),
            )
    finally:
        await server.close()
        await store.close()
        state.close()


def kill(*endpoints: str) -> None:
    """SIGKILL for the processes that listen there."""
    for endpoint in endpoints:
        os.kill(pid_at(endpoint), signal.SIGKILL)


def pid_at(endpoint: str) -> int:
    """The process that listens there, by what the kernel says of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(endpoint.removeprefix("unix://"))
        pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    assert pid != os.getpid()
    return int(pid)


async def until(condition: Callable[[], object]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes, which tell no test
            await asyncio.sleep(0.005)
