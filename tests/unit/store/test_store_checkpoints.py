"""Checkpoints at the door of a job's store, over a real socket: the newest is served, and nobody else's counts."""

import asyncio
import os
import random
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.client.checkpoints import delete_checkpoint, get_checkpoint, put_checkpoint, put_delta
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.durable import deltas
from tasklet_runner.wire.checkpoints import FULL_WANTED
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.programs import Durable
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant
from tests.support.served_stores import KEY, NOW, served
from tests.support.stores import MEBIBYTE

GRANT = CheckpointGrant(store="store-1", term=1, key="main/7", epoch=1, max_bytes=32 * MEBIBYTE, expires_at=NOW + 60)


def durable(endpoint: str, key: str = "main/7", **changes: object) -> Durable:
    grant = msgspec.structs.replace(GRANT, **{"key": key, **changes})
    return Durable(endpoint, sign(grant, KEY), key)


async def kept(stores: StoreConnections, at: Durable, tmp_path: Path) -> tuple[int, bytes] | None:
    """Generation and payload of the newest one."""
    path = tmp_path / "fetched"
    found = await get_checkpoint(stores, at, path)
    return None if found is None else (found[0], path.read_bytes())


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
            with pytest.raises(RefusedError) as caught:
                for generation in range(2, 100):
                    old = bytes(payload)
                    payload[chance.randrange(len(payload))] ^= 1
                    payload += b"grown"
                    delta = deltas.encode(deltas.changed_runs(old, payload), payload)
                    await put_delta(stores, at, generation, delta, len(payload))
                    assert await kept(stores, at, tmp_path) == (generation, bytes(payload))
            assert caught.value.reason == FULL_WANTED
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
