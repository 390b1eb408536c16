"""What the process tests of the local fabric share: a fabric on real members, and listings that do not ask it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.local.engine import LocalSettings
from leasegrid.local.fabric import LocalFabric
from leasegrid.local.machine import Machine
from leasegrid.local.state import StateDirectory
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView
from tasklet_runner.wire.signed import public_text

HOLDER = Ed25519PrivateKey.generate()
PATIENCE_SECONDS = 30.0
TWO_CORES = Machine(cores=2, memory=8 * 1024**3)


def request(name: str, **changes: object) -> LeaseRequest:
    """A request of one holder; it queues unless it is told otherwise."""
    fields: dict[str, object] = {"on_empty": "Queue", "holder_key": public_text(HOLDER)} | changes
    return LeaseRequest(request_id=name, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def local_fabric(directory: Path, workers: int = 2, **settings: object) -> AsyncIterator[LocalFabric]:
    """A fabric on a machine that seems to have two cores, its state below this directory."""
    state = StateDirectory(directory / "state")
    known = LocalSettings(workers=workers, machine=TWO_CORES, **settings)  # type: ignore[arg-type]
    async with LocalFabric(state, known) as fabric:
        yield fabric
    state.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so; fails after a generous while."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes, which tell no test
            await asyncio.sleep(0.02)


def processes_of(runtime: Path) -> list[psutil.Process]:
    """Every process of a run, read from the kernel: forks keep the command line, which names the runtime directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(runtime) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def members_of(runtime: Path) -> list[psutil.Process]:
    """The member processes: children of the zygote, whose own parent is none of them."""
    processes = processes_of(runtime)
    pids = {process.pid for process in processes}
    (zygote,) = [process for process in processes if process.ppid() not in pids]
    return [process for process in processes if process.ppid() == zygote.pid]


def pid_of(fabric: LocalFabric, view: LeaseView) -> int:
    """Of the first member: members are ordered and forked in the order of their numbers."""
    numbers = sorted(int(path.name) for path in (fabric.runtime.path / "m").iterdir())
    position = numbers.index(int(Path(view.members[0].endpoint).name))
    return sorted(process.pid for process in members_of(fabric.runtime.path))[position]
