"""The store's figures: large objects, small objects in batches, and the parts of a shuffle."""

import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.storing.plain import bare_get, bare_put, bare_server, copy
from benchmarks.storing.rig import Store, leased_store
from benchmarks.tables import Row, Table
from tasklet_runner.client.stores import StoreConnections
from tasklet_runner.wire.digests import Checksum

MEBIBYTE = 1024 * 1024
TMPFS = Path("/dev/shm")  # noqa: S108  # the memory that a Memory store is on, where there is one


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds of a large object, small objects in batches, a shuffle of mappers and readers."""

    rounds: int = 5
    large_bytes: int = 64 * MEBIBYTE
    batches: int = 100
    batch_objects: int = 100
    small_bytes: int = 1024
    mappers: int = 100
    readers: int = 100
    part_bytes: int = 100_000


SMALLEST = Sizes(rounds=1, large_bytes=2 * MEBIBYTE, batches=2, mappers=2, readers=3)


@dataclass(frozen=True)
class Rig:
    """What one table is measured with: a folder on the store's own file system, the store, connections to both."""

    folder: Path
    store: Store
    stores: StoreConnections
    bare: aiohttp.ClientSession
    sizes: Sizes


def rows(*, smallest: bool = False) -> None:
    """Measure stores in memory and on the disk, on a unix socket and on 127.0.0.1, and print a table for each.

    `smallest`: tiny numbers, to see that all of it works.
    """
    sizes = SMALLEST if smallest else Sizes()
    memory = TMPFS if TMPFS.is_dir() else Path(tempfile.gettempdir())
    for role, tcp, where in (
        ("Memory", False, memory),
        ("Memory", True, memory),
        ("Block", False, Path(tempfile.gettempdir())),
    ):
        door = "127.0.0.1" if tcp else "a unix socket"
        table = Table(f"A {role} store at {door}, below {where}", COLUMNS)
        asyncio.run(_table(table, role, tcp=tcp, where=where, sizes=sizes))


COLUMNS = (
    "what",
    "LeaseGrid",
    "plain copy with SHA-256",
    "bare HTTP server, unix socket",
    "ratio to the copy, and to reach",
)


async def _table(table: Table, role: str, *, tcp: bool, where: Path, sizes: Sizes) -> None:
    async with _rig(role, tcp=tcp, where=where, sizes=sizes) as rig:
        for row in await _large(rig):
            table.add(row)
        for row in await _small(rig):
            table.add(row)
        for row in await _shuffle(rig):
            table.add(row)


@asynccontextmanager
async def _rig(role: str, *, tcp: bool, where: Path, sizes: Sizes) -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="leasegrid-bench-", dir=where) as made:
        folder = Path(made)
        (folder / "bare").mkdir()
        with bare_server(folder / "bare") as path:
            async with (
                leased_store(folder / "store", role, tcp=tcp) as store,
                StoreConnections() as stores,
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(path)), read_bufsize=MEBIBYTE) as bare,
            ):
                yield Rig(folder, store, stores, bare, sizes)


async def _large(rig: Rig) -> list[Row]:
    """Objects of 64 MB, one after the other; all four in turn, so that what else the machine does meets them all."""
    source, target, store = rig.folder / "source", rig.folder / "target", rig.store
    source.write_bytes(os.urandom(rig.sizes.large_bytes))
    times: dict[str, list[float]] = {}

    async def measured(name: str, work: Awaitable[object]) -> None:
        began = time.perf_counter()
        await work
        times.setdefault(name, []).append(time.perf_counter() - began)
        target.unlink(missing_ok=True)

    for number in range(rig.sizes.rounds + 1):
        name = f"large-{number}"
        await measured("copy", asyncio.to_thread(copy, source, target, hashlib.sha256()))
        await measured("checked copy", asyncio.to_thread(copy, source, target, Checksum()))
        await measured("put", store.client.put(name, source))
        await measured("get", store.client.get_file(name, target))
        await measured("batch put", rig.stores.put_batch(store.endpoint, store.put_grant("b"), [(f"b/{name}", source)]))
        asked = rig.stores.get_batch_to_file(store.endpoint, store.get_grant("b"), [f"b/{name}"], target)
        await measured("batch get", asked)
        await measured("bare put", bare_put(rig.bare, name, source))
        await measured("bare get", bare_get(rig.bare, name, target))
    # The first of each opens connections.
    seconds = {name: statistics.median(taken[1:] or taken) for name, taken in times.items()}

    def rate(name: str) -> str:
        return f"{rig.sizes.large_bytes / seconds[name] / 1e6:,.0f} MB/s"

    def of_checked(verb: str) -> str:
        # Objects of batches have a cheaper digest, with which a copy is faster too.
        return f" ({seconds['checked copy'] / seconds[verb]:.2f} with Poly1305)" if "batch" in verb else ""

    return [
        Row(
            f"{verb} of {rig.sizes.large_bytes // MEBIBYTE} MB objects",
            rate(verb),
            rate("copy"),
            rate(f"bare {verb[-3:]}"),
            f"{seconds['copy'] / seconds[verb]:.2f}{of_checked(verb)}, at least 0.6",
        )
        for verb in ("put", "get", "batch put", "batch get")
    ]


async def _small(rig: Rig) -> list[Row]:
    """Objects of 1 KB in batches of 100; the copy is one file each."""
    sizes, data = rig.sizes, os.urandom(rig.sizes.small_bytes)
    count = sizes.batches * sizes.batch_objects

    async def put(batch: int) -> None:
        prefix = f"small/{batch}"
        objects: list[tuple[str, bytes | Path]] = [
            (f"{prefix}/{number}", data) for number in range(sizes.batch_objects)
        ]
        await rig.stores.put_batch(rig.store.endpoint, rig.store.put_grant(prefix), objects)

    async def get(batch: int) -> None:
        keys = [f"small/{batch}/{number}" for number in range(sizes.batch_objects)]
        await rig.stores.get_batch_to_file(
            rig.store.endpoint, rig.store.get_grant("small"), keys, rig.folder / f"got-{batch}"
        )

    source, target = rig.folder / "small", rig.folder / "small-copy"
    source.write_bytes(data)
    began = time.perf_counter()
    for _ in range(count):
        copy(source, target, hashlib.sha256())
    copied = count / (time.perf_counter() - began)
    found = []
    for verb, work in (("put", put), ("get", get)):
        rate = count / await _all(work, sizes.batches, at_once=4)
        what = f"{verb} of {sizes.small_bytes:,}-byte objects in batches of {sizes.batch_objects}"
        found.append(Row(what, f"{rate:,.0f}/s", f"{copied:,.0f}/s", "", f"{rate / copied:.2f}, at least 10,000/s"))
    return found


async def _shuffle(rig: Rig) -> list[Row]:
    """Mappers put a batch of a part for each reader; readers get a part of each mapper. Two of them at once.

    The parts are files, as members have them: at a unix socket a Memory store links them. (All mappers have the same.)
    """
    sizes = rig.sizes
    total = sizes.mappers * sizes.readers * sizes.part_bytes
    held = rig.folder / "held"
    held.mkdir()
    for reader in range(sizes.readers):
        (held / str(reader)).write_bytes(os.urandom(sizes.part_bytes))

    async def put(mapper: int) -> None:
        prefix = f"map/{mapper}/1"
        objects: list[tuple[str, bytes | Path]] = [
            (f"{prefix}/part-{reader}", held / str(reader)) for reader in range(sizes.readers)
        ]
        await rig.stores.put_batch(rig.store.endpoint, rig.store.put_grant(prefix), objects)

    async def get(reader: int) -> None:
        keys = [f"map/{mapper}/1/part-{reader}" for mapper in range(sizes.mappers)]
        target = rig.folder / f"input-{reader}"
        await rig.stores.get_batch_to_file(rig.store.endpoint, rig.store.get_grant("map"), keys, target)
        target.unlink()

    put_seconds = await _all(put, sizes.mappers, at_once=2)
    get_seconds = await _all(get, sizes.readers, at_once=2)
    what = f"{sizes.mappers} x {sizes.readers} parts of {sizes.part_bytes // 1000} KB"
    return [
        Row(f"{what}: {verb} by batches", f"{total / seconds / 1e6:,.0f} MB/s, {seconds:.1f} s")
        for verb, seconds in (("put", put_seconds), ("get", get_seconds))
    ]


async def _all(work: Callable[[int], Awaitable[None]], count: int, *, at_once: int) -> float:
    """Do it so many times; the seconds of all."""
    turn = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with turn:
            await work(number)

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return time.perf_counter() - began
