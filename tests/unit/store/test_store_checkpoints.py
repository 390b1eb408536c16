"""Checkpoints at the door of a job's store, over a real socket: the newest is served, and nobody else's counts."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from yarl import URL

from tasklet_runner.client.checkpoints import delete_checkpoint, get_checkpoint, put_checkpoint, put_delta
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.durable import deltas
from tasklet_runner.wire.checkpoints import FULL_WANTED
from tasklet_runner.wire.errors import CheckpointDamagedError, RefusedError, StoreError, StoreFencedError
from tasklet_runner.wire.programs import Durable
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tests.support.checkpoints import overwrite
from tests.support.served_checkpoints import GRANT, durable, kept
from tests.support.served_stores import KEY, NOW, served
from tests.support.stores import MEBIBYTE


@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * MEBIBYTE + 1])
def test_the_newest_checkpoint_comes_back_byte_for_byte(size: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            at = durable(server.endpoint)
            assert await kept(stores, at, tmp_path) is None
            for generation in (1, 2, 3):
                payload = os.urandom(size)
                assert await put_checkpoint(stores, at, generation, payload) == size
                assert await kept(stores, at, tmp_path) == (generation, payload)
            await delete_checkpoint(stores, at)
            assert await kept(stores, at, tmp_path) is None

    asyncio.run(story())


def test_deltas_build_on_each_other_until_a_full_one_is_wanted(tmp_path: Path) -> None:
    chance = random.Random(7)

    async def story() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            at, payload = durable(server.endpoint), bytearray(chance.randbytes(200_000))
            await put_checkpoint(stores, at, 1, bytes(payload))
            generation, wanted = 1, ""
            while not wanted:
                old, generation = bytes(payload), generation + 1
                payload[chance.randrange(len(payload))] ^= 1
                payload += b"grown"
                delta = deltas.encode(deltas.changed_runs(old, payload), payload)
                try:
                    await put_delta(stores, at, generation, delta, len(payload))
                    assert await kept(stores, at, tmp_path) == (generation, bytes(payload))
                except RefusedError as error:
                    wanted = error.reason
            assert wanted == FULL_WANTED
            assert generation > 10
            await put_checkpoint(stores, at, generation, bytes(payload))
            assert await kept(stores, at, tmp_path) == (generation, bytes(payload))
            assert store.quota_bytes - store.room == sum(
                path.stat().st_size for path in (tmp_path / "store" / "checkpoints").iterdir()
            )
            store.delete_checkpoints("main")
            assert store.room == store.quota_bytes
            assert await kept(stores, at, tmp_path) is None

    asyncio.run(story())


REFUSED = [
    pytest.param({"expires_at": NOW}, "LeaseExpired", id="a grant whose time is over"),
    pytest.param({"store": "store-2"}, "NotGranted", id="a grant for another store"),
    pytest.param({"key": "main/8"}, "NotGranted", id="a grant for another key"),
    pytest.param({"key": "main"}, "NotGranted", id="a grant for what the key is below"),
    pytest.param({"max_bytes": 5}, "TooLarge", id="more bytes than granted"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_no_grant_covers_is_refused(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            shown = Durable(server.endpoint, sign(msgspec.structs.replace(GRANT, **changes), KEY), "main/7")
            with pytest.raises(RefusedError) as caught:
                await put_checkpoint(stores, shown, 1, b"123456")
            assert caught.value.reason == reason
            assert store.room == store.quota_bytes

    asyncio.run(story())


def test_another_statement_is_no_grant_for_checkpoints(tmp_path: Path) -> None:
    grant = PutGrant(store="store-1", term=1, key_prefix="main/7", max_bytes=100, expires_at=NOW + 60)

    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            with pytest.raises(RefusedError, match="not a CheckpointGrant"):
                await put_checkpoint(stores, Durable(server.endpoint, sign(grant, KEY), "main/7"), 1, b"x")

    asyncio.run(story())


@pytest.mark.unhappy("an older term that writes checkpoints")
@pytest.mark.parametrize("term", [0, 2])
def test_a_grant_of_another_term_is_fenced(term: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            with pytest.raises(StoreFencedError, match=f"of term {term}, the store is at term 1"):
                await put_checkpoint(stores, durable(server.endpoint, term=term), 1, b"x")

    asyncio.run(story())


@pytest.mark.unhappy("an attempt that writes checkpoints beside its successor")
def test_the_attempt_that_reads_last_is_the_one_that_writes(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            first, second = durable(server.endpoint), durable(server.endpoint, epoch=2)
            await put_checkpoint(stores, first, 1, b"one")
            assert await kept(stores, second, tmp_path) == (1, b"one")
            for call in (
                put_checkpoint(stores, first, 2, b"late"),
                put_delta(stores, first, 2, bytes(8), 3),
                get_checkpoint(stores, first, tmp_path / "late"),
                delete_checkpoint(stores, first),
            ):
                with pytest.raises(StoreFencedError, match="under epoch 2, which is later than 1"):
                    await call
            await put_checkpoint(stores, second, 2, b"two")
            assert await kept(stores, second, tmp_path) == (2, b"two")

    asyncio.run(story())


def test_the_same_again_is_no_error_and_something_else_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            at, payload = durable(server.endpoint), bytes(100_000)
            changed = payload[:-1] + b"x"
            delta = deltas.encode(deltas.changed_runs(payload, changed), changed)
            for _ in range(2):
                await put_checkpoint(stores, at, 1, payload)
            for _ in range(2):
                await put_delta(stores, at, 2, delta, len(changed))
            with pytest.raises(RefusedError, match=r"generation 2 .* is not new"):
                await put_checkpoint(stores, at, 2, b"other")
            assert await kept(stores, at, tmp_path) == (2, changed)
            assert store.quota_bytes - store.room < 2 * len(payload)

    asyncio.run(story())


@pytest.mark.unhappy("a checkpoint whose bytes change on their way, or stop coming")
def test_what_is_not_what_was_announced_leaves_the_last_good_one(tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * MEBIBYTE
        raise ConnectionAbortedError

    async def story() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            at = durable(server.endpoint)
            for generation in (1, 2):
                await put_checkpoint(stores, at, generation, b"good")
            connector = aiohttp.UnixConnector(path=server.endpoint.removeprefix("unix://"))
            url = URL("http://store/v1/checkpoints/main%2F7?generation=3", encoded=True)
            headers = {"X-Leasegrid-Grant": at.grant, "X-Leasegrid-Digest": "0" * 32}
            async with aiohttp.ClientSession(connector=connector) as session:
                async with session.put(url, data=b"bad", headers=headers) as response:
                    assert response.status == 422
                async with session.put(url, data=b"bad", headers={"X-Leasegrid-Grant": at.grant}) as response:
                    assert response.status == 400
                with pytest.raises(aiohttp.ClientError):
                    await session.put(url, data=cut(), headers=headers | {"Content-Length": str(4 * MEBIBYTE)})
            await put_checkpoint(stores, durable(server.endpoint, key="other"), 1, b"other")
            assert await kept(stores, at, tmp_path) == (2, b"good")
            await put_checkpoint(stores, at, 3, b"after it")
            store.delete_checkpoints("main/7")
            store.delete_checkpoints("other")
            assert store.room == store.quota_bytes

    asyncio.run(story())


@pytest.mark.unhappy("a store that is full")
def test_a_full_store_says_so_and_keeps_the_last_good_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, quota_bytes=MEBIBYTE) as (_, server), StoreConnections() as stores:
            at = durable(server.endpoint)
            await put_checkpoint(stores, at, 1, bytes(400_000))
            await put_checkpoint(stores, at, 2, b"2" * 400_000)
            with pytest.raises(StoreError, match=r"is full: .*spec\.output\.size"):
                await put_checkpoint(stores, at, 3, bytes(700_000))
            assert await kept(stores, at, tmp_path) == (2, b"2" * 400_000)

    asyncio.run(story())


@pytest.mark.unhappy("both slots of a checkpoint in a store are damaged")
def test_a_store_whose_slots_are_both_bad_says_so_over_the_wire(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            at = durable(server.endpoint)
            for generation in (1, 2):
                await put_checkpoint(stores, at, generation, b"good")
            for path in (tmp_path / "store" / "checkpoints").glob("*.[ab]"):
                overwrite(path, b"bad")
            with pytest.raises(CheckpointDamagedError, match="no checkpoint of 'main/7' is whole"):
                await kept(stores, at, tmp_path)

    asyncio.run(story())


def test_checkpoints_and_their_fences_outlive_the_process_that_serves_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            await put_checkpoint(stores, durable(server.endpoint, epoch=3), 1, bytes(5000))
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            assert store.room == store.quota_bytes - 5160
            with pytest.raises(StoreFencedError):
                await put_checkpoint(stores, durable(server.endpoint, epoch=2), 2, b"late")
            assert await kept(stores, durable(server.endpoint, epoch=3), tmp_path) == (1, bytes(5000))
            assert not store.empty

    asyncio.run(story())


def test_a_prefix_deletes_what_is_below_it_and_no_neighbour(tmp_path: Path) -> None:
    keys = ["main/1", "main/10", "mainly", "main"]

    async def story() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            at = {key: durable(server.endpoint, key=key) for key in keys}

            async def left() -> list[str]:
                return [key for key in keys if await kept(stores, at[key], tmp_path) is not None]

            for key in keys:
                await put_checkpoint(stores, at[key], 1, b"x")
            store.delete_checkpoints("main/1")
            assert await left() == keys[1:]
            store.delete_checkpoints("main")
            assert await left() == ["mainly"]
            store.delete_checkpoints("")
            assert await left() == []

    asyncio.run(story())


@pytest.mark.parametrize("key", [".", "..", "a/../b", "ü 😀?#%2F", "x/deltas", "epoch"], ids=ascii)
def test_odd_keys_arrive_as_they_are(key: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (_, server), StoreConnections() as stores:
            at = durable(server.endpoint, key=key)
            await put_checkpoint(stores, at, 1, bytes(9000))
            await put_delta(stores, at, 2, deltas.encode([deltas.Run(0, 1)], b"x" + bytes(8999)), 9000)
            assert await kept(stores, at, tmp_path) == (2, b"x" + bytes(8999))

    asyncio.run(story())
