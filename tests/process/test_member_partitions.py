"""Partitioned outputs of real members on their way into a real store: all parts of an attempt, or none."""

import asyncio
import socket
from pathlib import Path

import pytest

from tasklet_runner.plan.partition import partition
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import PartitionBy, Task
from tasklet_runner.wire.work import Discard
from tests.support import wat
from tests.support.shuffles import (
    objects_of,
    prepare_module,
    put_grant,
    put_parts,
    run_one,
    shuffle_store,
    sluice,
    worker,
)
from tests.support.stores import MEBIBYTE

ODD = "straße\t1\nπ\t2\n\n日本\t3\n".encode() + b"\xff\xfe\x00\t1\n\tno key\nk\ta\tb\nlone\n\nk\tlast without newline"


def parts_of(text: bytes, partitions: int, prefix: str) -> dict[str, bytes]:
    """What the contract says that the store holds."""
    parts: dict[str, bytes] = {}
    for line in text.removesuffix(b"\n").split(b"\n"):
        number = partition(line.split(b"\t")[0], partitions)
        key = f"{prefix}/part-{number}"
        parts[key] = parts.get(key, b"") + line + b"\n"
    return parts


@pytest.mark.smoke
def test_lines_of_any_keys_reach_the_store_by_partition_byte_for_byte(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "mapper") as (rig, connection):
            await prepare_module(connection, wat.echo(), partitions=5)
            result = await run_one(connection, Task(0, 1, "0-x", ODD))
            expected = parts_of(ODD, 5, "map/0/1")
            assert result.outcome.fault is None
            assert (result.outcome.stdout, result.outcome.files) == (b"", ())
            assert result.outcome.held_bytes == len(ODD) + 1
            stored = await put_parts(connection, put_grant(store, (0, 1)))
            assert stored.fault is None
            assert stored.files == tuple(f"part-{number}" for number, _ in result.outcome.parts)
            assert stored.byte_count == len(ODD) + 1
            assert await objects_of(store) == expected
            assert list((rig.scratch / "held").iterdir()) == []
            words = await asyncio.to_thread(_metrics, rig.root / "m.sock")
            assert f"leasegrid_artifact_bytes_written_total {len(ODD) + 1}.0" in words

    asyncio.run(story())


def test_an_output_without_a_line_has_nothing_to_put(tmp_path: Path) -> None:
    async def story() -> None:
        async with worker(tmp_path, "mapper") as (rig, connection):
            await prepare_module(connection, wat.echo(), partitions=5)
            outcome = (await run_one(connection, Task(0, 1, "0-x"))).outcome
            assert (outcome.fault, outcome.parts, outcome.held_bytes) == (None, (), 0)
            assert list((rig.scratch / "held").iterdir()) == []

    asyncio.run(story())


def test_a_hot_key_with_nearly_all_of_the_bytes_is_one_large_part(tmp_path: Path) -> None:
    hot, cold = b"hot\t" + b"v" * 995 + b"\n", b"".join(b"cold %d\t1\n" % number for number in range(5000))
    text = cold + hot * 6000

    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "mapper") as (_, connection):
            await prepare_module(connection, wat.echo(), partitions=100)
            result = await run_one(connection, Task(3, 2, "3-x", text))
            stored = await put_parts(connection, put_grant(store, (3, 2)))
            assert (stored.fault, stored.byte_count) == (None, len(text))
            assert max(size for _, size in result.outcome.parts) > 0.9 * len(text)
            assert await objects_of(store) == parts_of(text, 100, "map/3/2")

    asyncio.run(story())


def test_by_file_the_parts_are_the_tasklets_own_files(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "mapper") as (_, connection):
            module = wat.write_file("part-11", b"the bytes\nof eleven")
            await prepare_module(connection, module, partitions=12, by=PartitionBy.FILE)
            outcome = (await run_one(connection, Task(0, 1, "0-x"))).outcome
            assert (outcome.fault, outcome.parts) == (None, ((11, 19),))
            assert (await put_parts(connection, put_grant(store, (0, 1)))).files == ("part-11",)
            assert await objects_of(store) == {"map/0/1/part-11": b"the bytes\nof eleven"}

    asyncio.run(story())


@pytest.mark.unhappy("a file in /out that is no partition")
def test_by_file_a_bad_name_is_a_permanent_fault_that_names_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with worker(tmp_path, "mapper") as (rig, connection):
            await prepare_module(connection, wat.write_file("part-12", b"x"), partitions=12, by=PartitionBy.FILE)
            fault = (await run_one(connection, Task(0, 1, "0-x"))).outcome.fault
            assert fault is not None
            assert (fault.kind, fault.transient) == (FaultKind.UNSUPPORTED, False)
            assert "'part-12'" in fault.message
            assert "part-<n>" in fault.remedy
            assert list((rig.scratch / "held").iterdir()) == []

    asyncio.run(story())


@pytest.mark.unhappy("a store that refuses the parts: an older term, too small, full, away")
def test_parts_that_the_store_refuses_stay_held_and_the_fault_is_typed(tmp_path: Path) -> None:
    text = b"".join(b"%d\t%s\n" % (number, b"v" * 1000) for number in range(2000))

    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "mapper") as (rig, connection):
            await prepare_module(connection, wat.echo(), partitions=7)
            await run_one(connection, Task(0, 1, "0-x", text))
            await store.store.put("filler", bytes(63 * MEBIBYTE))
            refused = (
                (FaultKind.FENCED, "term", put_grant(store, (0, 1), term=store.state.epoch - 1)),
                (FaultKind.LEASE_EXPIRED, "", put_grant(store, (0, 1), expires_at=1.0)),
                (FaultKind.IO_ERROR, "", put_grant(store, (0, 1), max_bytes=1000)),
                (FaultKind.IO_ERROR, "is full", put_grant(store, (0, 1))),
                (FaultKind.DISCONNECTED, "nobody.sock", put_grant(store, (0, 1), f"unix://{tmp_path}/nobody.sock")),
            )
            for kind, word, grant in refused:
                fault = (await put_parts(connection, grant)).fault
                assert fault is not None
                assert fault.kind is kind, fault
                assert word in fault.message
            assert list(await objects_of(store)) == ["filler"]
            assert [path.name for path in (rig.scratch / "held").iterdir()] == ["0-1"]
            await connection.send(Discard(0, 1))
            assert (await put_parts(connection, put_grant(store, (0, 1)))).fault is not None
            assert list((rig.scratch / "held").iterdir()) == []

    asyncio.run(story())


@pytest.mark.unhappy("a mapper killed after half of its partitions were written")
def test_of_a_member_killed_in_mid_put_nothing_is_visible_and_the_retry_stands_alone(tmp_path: Path) -> None:
    text = b"".join(b"%d\t%s\n" % (number, b"v" * 1000) for number in range(6000))

    async def story() -> None:
        async with (
            shuffle_store(tmp_path) as store,
            sluice(store.rig.endpoint, 3 * MEBIBYTE, upward=True) as (way, endpoint),
        ):
            async with worker(tmp_path, "first") as (rig, connection):
                await prepare_module(connection, wat.echo(), partitions=10)
                await run_one(connection, Task(0, 1, "0-x", text))
                await connection.send(put_grant(store, (0, 1), endpoint))
                async with asyncio.timeout(60):
                    await way.full.wait()
                assert rig.process is not None
                rig.process.kill()
                await asyncio.to_thread(rig.process.wait, 30)
            way.cut()  # what had left the dead member, and waits on its way, does not count
            assert await objects_of(store) == {}
            async with worker(tmp_path, "second") as (_, connection):
                await prepare_module(connection, wat.echo(), partitions=10)
                await run_one(connection, Task(0, 2, "0-x", text))
                assert (await put_parts(connection, put_grant(store, (0, 2)))).fault is None
            assert await objects_of(store) == parts_of(text, 10, "map/0/2")

    asyncio.run(story())


def _metrics(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()
