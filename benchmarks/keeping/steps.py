"""Modules that export `step`: how soon one goes on from a checkpoint, and what snapshots cost a job while it runs."""

import asyncio
import io
import json
import statistics
import tarfile
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import wasmtime
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.runs import Home
from benchmarks.tables import Row, Table
from tasklet_runner.client.checkpoints import get_checkpoint, put_checkpoint
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.sandbox.archives import unpack
from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.durable import SNAPSHOT_NAME
from tasklet_runner.sandbox.engine import new_engine
from tasklet_runner.sandbox.places import Places
from tasklet_runner.sandbox.running import Runner
from tasklet_runner.sandbox.snapshot_files import write_snapshot
from tasklet_runner.sandbox.snapshots import Description
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.server import serve
from tasklet_runner.wire.programs import Durable, Language, Limits, Program, Task
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant

HERE = Path(__file__).parent
MEBIBYTE = 1 << 20
PAGES_PER_MEBIBYTE = 16
WRITES = 500_000
SOURCE = "ab" * 32
CHUNK = "0-bench"


@dataclass(frozen=True)
class Sizes:
    """Memory of the module that goes on and how often it does; memory, steps and rounds of the one that is saved."""

    resumed_mebibytes: int = 64
    resumes: int = 7
    running_mebibytes: int = 16
    steps: int = 1000
    rounds: int = 3


SMALLEST = Sizes(resumed_mebibytes=1, resumes=1, running_mebibytes=1, steps=20, rounds=1)


def rows(*, smallest: bool = False) -> None:
    """Print both tables."""
    sizes = SMALLEST if smallest else Sizes()
    table = Table("A module with step() goes on from its checkpoint")
    with tempfile.TemporaryDirectory() as folder:
        _resume(table, Path(folder), sizes)
    table = Table("A snapshot every second of a job that runs")
    for workers in (1, 2):
        _running(table, workers, sizes)


def _module(mebibytes: int, steps: int) -> bytes:
    text = (HERE / "steps.wat").read_text(encoding="utf-8")
    size = mebibytes * MEBIBYTE
    words = {"PAGES": mebibytes * PAGES_PER_MEBIBYTE, "LAST": size - 8, "STEPS": steps, "WRITES": WRITES}
    for word, number in words.items():
        text = text.replace(word, str(number))
    return bytes(wasmtime.wat2wasm(text))


def _resume(table: Table, folder: Path, sizes: Sizes) -> None:
    """From a store's door on this disk to the end of the first step; all of memory has something in it."""
    size = sizes.resumed_mebibytes * MEBIBYTE
    wasm = folder / "steps.wasm"
    wasm.write_bytes(_module(sizes.resumed_mebibytes, steps=2))
    code = CompileChild.start(wasm, CompileBounds(memory=1 << 29), snapshots=True).finish()
    archive = _archive(folder, bytearray(b"\x5a" * size))
    fetched, sandbox = asyncio.run(_resumes(folder, archive, code, sizes))
    whole = [one + other for one, other in zip(fetched, sandbox, strict=True)]
    name = f"{sizes.resumed_mebibytes} MiB of memory, from the store to the first step"
    parts = f"fetched and unpacked {_words(fetched)}, restored and stepped {_words(sandbox)}"
    table.add(Row(name, _words(whole), parts, "", "500 ms at most" if sizes.resumed_mebibytes == 64 else ""))


def _archive(folder: Path, memory: bytearray) -> bytes:
    """A checkpoint of /durable with a snapshot after one of two steps."""
    values = ((0, 1, (1).to_bytes(16, "little")), (1, 0, (1).to_bytes(16, "little")))
    description = Description(SOURCE, CHUNK, steps=1, fuel_used=0, stdin=0, global_values=values)
    write_snapshot(folder, description, memoryview(memory), b"")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(folder / SNAPSHOT_NAME, SNAPSHOT_NAME)
    return packed.getvalue()


async def _resumes(folder: Path, archive: bytes, code: int, sizes: Sizes) -> tuple[list[float], list[float]]:
    key = Ed25519PrivateKey.generate()
    store = DiskStore.open(folder / "store", uid="bench", quota_bytes=4 * len(archive), term=1)
    server = await serve(store, folder / "store.sock", key.public_key())
    grant = CheckpointGrant(
        store="bench", term=1, key="state", epoch=1, max_bytes=len(archive), expires_at=time.time() + 3600
    )
    at = Durable(server.endpoint, sign(grant, key), "state")
    fetched, sandbox = [], []
    try:
        async with StoreConnections() as stores:
            await put_checkpoint(stores, at, 1, archive)
            for number in range(sizes.resumes):
                here = folder / f"resume-{number}"
                here.mkdir()
                started = time.perf_counter()
                await get_checkpoint(stores, at, here / "archive")
                unpack(here / "archive", here / "durable", len(archive), 10)
                fetched.append(time.perf_counter() - started)
                sandbox.append(_first_step(here, code))
    finally:
        await server.close()
        await store.close()
    return fetched, sandbox


def _first_step(here: Path, code: int) -> float:
    """Seconds of a new slot: an engine, the code, an instance, its state, one step that is the last."""
    program = Program(name="steps", language=Language.WASM, source=SOURCE, durable=True, limits=Limits(fuel=10**12))
    places = Places(here / "scratch", here / "held", here, here, durable=here / "durable")
    started = time.perf_counter()
    runner = Runner(new_engine(), program, code_fd=code, places=places)
    outcome = runner.run(Task(0, 1, CHUNK))
    seconds = time.perf_counter() - started
    assert outcome.fault is None, outcome.fault
    assert len(outcome.stdout) == 8
    runner.close()
    return seconds


def _running(table: Table, workers: int, sizes: Sizes) -> None:
    """The same module on so many workers, saved every second and not at all, by turns."""
    home = Home()
    (home.path / "steps.wasm").write_bytes(_module(sizes.running_mebibytes, sizes.steps))
    saved: list[float] = []
    plain: list[float] = []
    kept = 0
    for _ in range(sizes.rounds):
        plain.append(_chunks(home, workers, sizes, durable=False)[0])
        seconds, kept = _chunks(home, workers, sizes, durable=True)
        saved.append(seconds)
    home.close()
    share = statistics.median(saved) / statistics.median(plain) - 1
    wanted = "5 % at most" if sizes == replace(sizes, running_mebibytes=16) else ""
    name = f"{sizes.running_mebibytes} MiB, {workers} of 2 cores at work"
    figure = f"{statistics.median(saved):.2f} s, {kept} checkpoints kept"
    table.add(Row(name, figure, f"without {statistics.median(plain):.2f} s", f"{100 * share:.1f} % more", wanted))


def _chunks(home: Home, workers: int, sizes: Sizes, *, durable: bool) -> tuple[float, int]:
    """Seconds that a chunk took in the mean, and how many checkpoints were kept."""
    tasklet = {
        "module": {"path": "steps.wasm"},
        "durable": durable,  # without it the same module is run by its _start
        "fuel": 10**13,
        "memory": sizes.running_mebibytes * MEBIBYTE,
        "wallSeconds": 600,
    }
    spec = json.dumps({"tasklet": tasklet, "parallelism": workers, "input": {"count": workers}})
    report = home.run(f"  {spec}\n", "--workers", str(workers)).report
    assert report["chunks"]["succeeded"] == workers
    stage = report["stages"][0]
    return stage["endedSeconds"] - stage["beganSeconds"], report["checkpoints"]["kept"]


def _words(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms"
