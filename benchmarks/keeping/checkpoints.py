"""Checkpoints of a state in memory, into slots on a disk and through a store's door to the same disk."""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.tables import Row, Table
from tasklet_runner.client.checkpoints import get_checkpoint, put_checkpoint, put_delta
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.durable import deltas
from tasklet_runner.durable.deltas import BLOCK_BYTES
from tasklet_runner.durable.slots import Draft, Slots
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.server import serve
from tasklet_runner.wire.programs import Durable
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """How many MiB a state has, and how often each figure is taken; of the figures the median counts."""

    mebibytes: tuple[int, ...] = (1, 64, 512)
    rounds: tuple[int, ...] = (20, 8, 3)


SMALLEST = Sizes(mebibytes=(1,), rounds=(2,))


def rows(*, smallest: bool = False) -> None:
    """Print a table of slots on the disk of the temporary directory, and one of a store's door on the same disk."""
    sizes = SMALLEST if smallest else Sizes()
    table = Table("Checkpoints into slots")
    for mebibytes, rounds in zip(sizes.mebibytes, sizes.rounds, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            _slots(table, Path(folder), _States(mebibytes), rounds)
    table = Table("Checkpoints through a store's door on a unix socket")
    for mebibytes, rounds in zip(sizes.mebibytes, sizes.rounds, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_door(table, Path(folder), _States(mebibytes), rounds))


class _States:
    """Two states of so many MiB that differ in 1 % of their blocks, scattered."""

    def __init__(self, mebibytes: int) -> None:
        self.name = f"{mebibytes} MiB"
        self.first = os.urandom(mebibytes * MEBIBYTE)
        blocks = len(self.first) // BLOCK_BYTES
        second = bytearray(self.first)
        for block in random.Random(mebibytes).sample(range(blocks), max(1, blocks // 100)):
            second[block * BLOCK_BYTES] ^= 1
        self.second = bytes(second)

    def delta(self) -> bytes:
        """What changed from the first to the second: found by comparing them."""
        return deltas.encode(deltas.changed_runs(self.first, self.second), self.second)


class _Times:
    """Milliseconds of what is done by turns, so that one load of the machine weighs on all of them."""

    def __init__(self) -> None:
        self._taken: dict[str, list[float]] = {}

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._taken.setdefault(what, []).append((time.perf_counter() - started) * 1000)

    def __getitem__(self, what: str) -> float:
        return statistics.median(self._taken[what])


def _plain(path: Path, payload: bytes) -> None:
    """The same bytes into a file of their own, as one saves a state without slots."""
    with path.open("wb", buffering=0) as file:
        view = memoryview(payload)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _slots(table: Table, folder: Path, states: _States, rounds: int) -> None:
    slots, times, generation = Slots(folder, "state"), _Times(), 0
    # Once for nothing: the disk gives a file its blocks when it is written first.
    for number in (0, 1):
        _plain(folder / f"plain-{number}", states.first)
        generation += 1
        slots.write(Draft(generation, 1, len(states.first)), states.first)
    for number in range(rounds):
        with times.of("plain"):
            _plain(folder / f"plain-{number % 2}", states.first)
        generation += 1
        with times.of("full"):
            slots.write(Draft(generation, 1, len(states.first)), states.first)
        generation += 1
        with times.of("delta"):
            slots.append(Draft(generation, 1, len(states.second)), generation - 1, states.delta())
        with times.of("restore"):
            assert _restored(slots) == states.second
        with times.of("read"):
            assert (folder / f"plain-{number % 2}").read_bytes() == states.first
    _add(table, states, times)


def _restored(slots: Slots) -> bytes:
    reading = slots.open()
    assert reading is not None
    with reading:
        return b"".join(reading.pieces())


async def _door(table: Table, folder: Path, states: _States, rounds: int) -> None:
    key, size = Ed25519PrivateKey.generate(), len(states.first)
    store = DiskStore.open(folder / "store", uid="bench", quota_bytes=8 * size + MEBIBYTE, term=1)
    server = await serve(store, folder / "store.sock", key.public_key())
    grant = CheckpointGrant(store="bench", term=1, key="state", epoch=1, max_bytes=size, expires_at=time.time() + 3600)
    at = Durable(server.endpoint, sign(grant, key), "state")
    times, generation = _Times(), 0
    try:
        async with StoreConnections() as stores:
            for number in range(rounds + 2):
                if number == 2:
                    # The first two gave the slots their blocks.
                    times = _Times()
                with times.of("plain"):
                    _plain(folder / f"plain-{number % 2}", states.first)
                generation += 1
                with times.of("full"):
                    await put_checkpoint(stores, at, generation, states.first)
                generation += 1
                with times.of("delta"):
                    await put_delta(stores, at, generation, states.delta(), size)
                with times.of("restore"):
                    await get_checkpoint(stores, at, folder / "restored")
                with times.of("read"):
                    (folder / "plain-0").read_bytes()
    finally:
        await server.close()
        await store.close()
    _add(table, states, times)


def _add(table: Table, states: _States, times: _Times) -> None:
    plain, full, delta, restore, read = (times[what] for what in ("plain", "full", "delta", "restore", "read"))
    goals = ("1.5 times at most", "a tenth of it") if states.name == "64 MiB" else ("", "")
    table.add(
        Row(
            f"full, {states.name}",
            _words(full),
            f"write + fsync {_words(plain)}",
            f"{full / plain:.2f} times",
            goals[0],
        )
    )
    part = f"{delta / full:.2f} of it, {delta / plain:.2f} of write + fsync"
    table.add(Row(f"1 % changed, {states.name}", _words(delta), f"full {_words(full)}", part, goals[1]))
    table.add(Row(f"restored, {states.name}", _words(restore), f"read {_words(read)}", f"{restore / read:.1f} times"))


def _words(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms"
