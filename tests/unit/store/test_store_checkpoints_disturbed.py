"""Checkpoints at a store's door that are large, cut off, stalled or deleted while they come."""

import asyncio
import contextlib
import mmap
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tasklet_runner.client.checkpoints import delete_checkpoint, get_checkpoint, put_checkpoint
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.wire.programs import Durable
from tests.support.served_checkpoints import durable, kept
from tests.support.served_stores import served
from tests.support.stores import MEBIBYTE


def test_memory_stays_flat_while_a_large_checkpoint_comes_and_goes(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("w+b") as file:
        file.truncate(150 * MEBIBYTE)

        async def story() -> None:
            async with served(tmp_path, quota_bytes=1024 * MEBIBYTE) as (_, server), StoreConnections() as stores:
                at = durable(server.endpoint, max_bytes=1024 * MEBIBYTE)
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                    await put_checkpoint(stores, at, 1, mapped)
                    assert await get_checkpoint(stores, at, tmp_path / "back") == (1, 150 * MEBIBYTE)
                    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                # The pages of the mapped file are the file's own, and count while they are in memory.
                assert grown < (150 + 60) * 1024

        asyncio.run(story())


def test_a_connection_that_goes_in_mid_checkpoint_harms_no_request_that_follows(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            at = durable(server.endpoint)
            await put_checkpoint(stores, at, 1, b"first")
            for generation in range(2, 12):
                putting = asyncio.create_task(put_checkpoint(stores, at, generation, bytes(3 * MEBIBYTE)))
                await asyncio.sleep(generation / 2000)
                putting.cancel()
                await asyncio.gather(putting, return_exceptions=True)
            found = await kept(stores, at, tmp_path)
            assert found is not None
            assert found[1] == (b"first" if found[0] == 1 else bytes(3 * MEBIBYTE))
            await put_checkpoint(stores, at, 100, b"last")
            assert await kept(stores, at, tmp_path) == (100, b"last")

    asyncio.run(story())


@contextlib.asynccontextmanager
async def stalled(at: Durable, generation: int) -> AsyncIterator[asyncio.StreamReader]:
    """A checkpoint of which some bytes have come, and no more will: its sender stands still."""
    reader, writer = await asyncio.open_unix_connection(at.endpoint.removeprefix("unix://"))
    head = (
        f"PUT /v1/checkpoints/main%2F7?generation={generation} HTTP/1.1\r\nHost: store\r\n"
        f"X-Leasegrid-Grant: {at.grant}\r\nX-Leasegrid-Digest: {'0' * 32}\r\nContent-Length: {3 * MEBIBYTE}\r\n\r\n"
    )
    try:
        writer.write(head.encode() + bytes(MEBIBYTE))
        await writer.drain()
        yield reader
    finally:
        writer.transport.abort()


async def _begun(tmp_path: Path) -> None:
    """Wait until the store is writing a second checkpoint."""
    coming = tmp_path / "store" / "checkpoints" / "main%2F7.b.new"
    async with asyncio.timeout(30):
        while not coming.exists():  # noqa: ASYNC110  # a file tells nobody that it is there
            await asyncio.sleep(0.01)


@pytest.mark.unhappy("a writer of checkpoints that stands still in the middle of one")
@pytest.mark.parametrize("epoch", [1, 2], ids=["its own next try", "its successor"])
def test_a_writer_that_stands_still_keeps_nobody_out(epoch: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            first, later = durable(server.endpoint), durable(server.endpoint, epoch=epoch)
            await put_checkpoint(stores, first, 1, b"one")
            async with stalled(first, 2) as answer, asyncio.timeout(30):
                await _begun(tmp_path)
                await put_checkpoint(stores, later, 2, b"two")
                assert await kept(stores, later, tmp_path) == (2, b"two")
                assert b"409 Conflict" in await answer.readline()

    asyncio.run(story())


@pytest.mark.unhappy("a reader beside a writer of checkpoints that stands still")
def test_who_only_reads_waits_for_no_writer(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            first = durable(server.endpoint)
            await put_checkpoint(stores, first, 1, b"one")
            async with stalled(first, 2), asyncio.timeout(30):
                await _begun(tmp_path)
                with await store.checkpoints.open("main/7") as reading:
                    assert (reading.generation, b"".join(reading.pieces())) == (1, b"one")
                await delete_checkpoint(stores, first)
            assert store.room == store.quota_bytes

    asyncio.run(story())


@pytest.mark.unhappy("a store that is cleared while a checkpoint comes")
def test_what_is_deleted_while_a_checkpoint_comes_is_gone_with_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            first = durable(server.endpoint)
            await put_checkpoint(stores, first, 1, b"one")
            async with stalled(first, 2) as answer, asyncio.timeout(30):
                await _begun(tmp_path)
                store.delete_checkpoints("main")
                assert b"409 Conflict" in await answer.readline()
            assert store.room == store.quota_bytes
            assert await kept(stores, first, tmp_path) is None

    asyncio.run(story())
