"""How late a member keeps its deadline with everything else dead, seen from outside by the kernel's process ids.

Each try: a fabric in a process of its own leases two members to this process, which runs an endless tasklet in one and
a sleeping tasklet in the other. Then the fabric is killed and the holder falls silent, its connections open, as behind
a broken network: nobody is left to tell a member that its time is over. (A holder that is killed closes its
connections, and then its tasklets end even sooner.)

Run as `python -m benchmarks.deadlines FOLDER HOLDER_KEY`: the fabric's process.
"""

import asyncio
import contextlib
import hashlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
import wasmtime
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.local.engine import LocalSettings
from leasegrid.local.fabric import LocalFabric
from leasegrid.local.state import StateDirectory
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView
from tasklet_runner.wire.programs import Language, Limits, Program, Task
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.work import Blob, Prepare, Prepared, Run

TRIES = 5
LEASE_SECONDS = 4
RUNNING_SECONDS = 0.5
PATIENCE_SECONDS = 20.0

ENDLESS = '(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))'

# One subscription of 48 bytes at 0: tag 0 (clock) at 8, the monotonic clock at 16, nanoseconds at 24.
SLEEPING = """
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 600000000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))
"""


@dataclass(frozen=True)
class DeadlineFigures:
    """The latest of several tries: from the deadline until both slot processes, and both members, had ended."""

    stopped_milliseconds: float
    freed_milliseconds: float


class _Leased(msgspec.Struct, frozen=True):
    """What the fabric's process prints. `deadline`: by the monotonic clock, which all processes share."""

    view: LeaseView
    deadline: float


def deadline() -> DeadlineFigures:
    """Lateness of the slots' end and of the members', the maximum of several tries."""
    tries = [_try() for _ in range(TRIES)]
    return DeadlineFigures(max(one.stopped_milliseconds for one in tries), max(one.freed_milliseconds for one in tries))


def _try() -> DeadlineFigures:
    key = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory(prefix="leasegrid-bench-") as folder, _fabric(folder, key) as fabric:
        assert fabric.stdout is not None
        leased = msgspec.json.decode(fabric.stdout.readline(), type=_Leased)
        (zygote,) = psutil.Process(fabric.pid).children()
        with asyncio.Runner() as runner:
            connections = runner.run(_occupy(leased.view, key))
            members = zygote.children()
            slots = [slot for member in members for slot in member.children()]
            assert len(slots) == len(members) == 2
            fabric.kill()
            # From here on this process's event loop does not run: the holder is silent.
            stopped = _last_end(slots) - leased.deadline
            freed = _last_end(members) - leased.deadline
            assert stopped > 0, "a tasklet ended before its deadline"
            runner.run(_hang_up(connections))
        _last_end([zygote])
    return DeadlineFigures(stopped * 1000, freed * 1000)


@contextlib.contextmanager
def _fabric(folder: str, key: Ed25519PrivateKey) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.deadlines", folder, public_text(key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as fabric:
        try:
            yield fabric
        finally:
            fabric.kill()


def _last_end(processes: Sequence[psutil.Process]) -> float:
    """When the last of these processes ended, by the monotonic clock."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            ended, _, _ = select.select([descriptor], [], [], PATIENCE_SECONDS)
            os.close(descriptor)
            assert ended, f"process {process.pid} did not end"
    return time.monotonic()


async def _occupy(view: LeaseView, key: Ed25519PrivateKey) -> list[WorkConnection]:
    """An endless tasklet in one member, a sleeping one in the other; both have run for a while on return."""
    connections = []
    for member, text in zip(view.members, (ENDLESS, SLEEPING), strict=True):
        connection = await WorkConnection.open(member, view.capabilities[0], key)
        connections.append(connection)
        await _run(connection, bytes(wasmtime.wat2wasm(text)))
    await asyncio.sleep(RUNNING_SECONDS)
    return connections


async def _run(connection: WorkConnection, module: bytes) -> None:
    digest = hashlib.sha256(module).hexdigest()
    limits = Limits(fuel=1 << 60, wall_seconds=600)
    await connection.send(Blob(digest, len(module), 0, module))
    await connection.send(Prepare(0, Program(name="late", language=Language.WASM, source=digest, limits=limits)))
    prepared = await connection.receive()
    assert isinstance(prepared, Prepared), prepared
    await connection.send(Run(0, 1, 0, (Task(0, 1, "0"),)))


async def _hang_up(connections: Sequence[WorkConnection]) -> None:
    for connection in connections:
        await connection.close()


async def _lease(folder: Path, holder: str) -> None:
    async with LocalFabric(StateDirectory(folder), LocalSettings(workers=2)) as fabric:
        request = LeaseRequest(
            request_id="late", holder_key=holder, count=2, min_count=2, ttl_seconds=LEASE_SECONDS, on_empty="Queue"
        )
        view = await fabric.acquire(request)
        leased = _Leased(view, time.monotonic() + view.expires_in)
        print(msgspec.json.encode(leased).decode(), flush=True)
        signal.pause()


if __name__ == "__main__":
    asyncio.run(_lease(Path(sys.argv[1]), sys.argv[2]))
