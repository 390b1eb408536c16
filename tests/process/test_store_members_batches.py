"""Batches at real store members: by session and by grant, whole or not at all, whatever ends them."""

import asyncio
import contextlib
import gc
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tasklet_runner.client.stores import StoreClient, StoreConnections
from tasklet_runner.wire.batches import ObjectHead, framed
from tasklet_runner.wire.errors import InputError, LeaseGridError, RefusedError, StoreError, StoreFencedError
from tasklet_runner.wire.member import ErrorReply
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tests.support.members import LEASE
from tests.support.store_members import HeldStore, held_store, store_member
from tests.support.stores import MEBIBYTE, files_below

ROLES = pytest.mark.parametrize("role", ["Memory", "Block"])
SIZES = (0, 10, 4096, 4097, 100_000, 2 * MEBIBYTE + 3)
PARTS = {f"map/0/1/part-{number} ü": bytes([number + 65]) * size for number, size in enumerate(SIZES)}


def put_grant(held: HeldStore, **changes: object) -> str:
    words = {"store": LEASE, "term": 1, "key_prefix": "map/0/1", "max_bytes": 2**40}
    return sign(PutGrant(**(words | {"expires_at": held.rig.issued_at + 60} | changes)), held.rig.holder)  # type: ignore[arg-type]  # of the fields' types


def get_grant(held: HeldStore, **changes: object) -> str:
    words = {"store": LEASE, "term": 1, "key_prefix": "map"}
    return sign(GetGrant(**(words | {"expires_at": held.rig.issued_at + 60} | changes)), held.rig.holder)  # type: ignore[arg-type]  # of the fields' types


def part_files(root: Path) -> list[str]:
    return [name for name in files_below(root / "volume") if "/" in name]


@ROLES
def test_what_a_worker_puts_under_a_grant_another_gets_under_a_grant_and_the_holder_by_session(
    role: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with held_store(tmp_path, role) as held, StoreConnections() as stores:
            endpoint = held.rig.endpoint
            for _ in range(2):
                told = await stores.put_batch(endpoint, put_grant(held), list(PARTS.items()))
                assert [(info.key, info.size) for info in told] == [(key, len(data)) for key, data in PARTS.items()]
            size = await stores.get_batch_to_file(endpoint, get_grant(held), list(PARTS), tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == b"".join(PARTS.values())
            assert size == sum(SIZES)
            assert await held.store.get_batch(list(reversed(PARTS))) == list(reversed(PARTS.values()))
            assert await held.store.put_batch(list(PARTS.items())) == told
            assert [info async for info in held.store.list_objects()] == list(told)
            assert await held.store.get(told[4].key, 99_990, 20) == b"E" * 10
            assert len(part_files(tmp_path)) == 1

    asyncio.run(story())


@pytest.mark.unhappy("grants that are forged, too old, or for something else")
def test_only_the_holders_grants_of_this_epoch_count(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, StoreConnections() as stores:
            await held.store.put("map/0/1/a", b"secret")
            gets: list[tuple[str, type[LeaseGridError], str]] = [
                (get_grant(held, key_prefix="map/1"), RefusedError, "not below"),
                (get_grant(held, store="lease-2"), RefusedError, "lease-2"),
                (get_grant(held, expires_at=held.rig.issued_at - 1), RefusedError, "expired"),
                (get_grant(held, term=0), StoreFencedError, "of term 0, the store is at term 1"),
                (sign(msgspec.convert({**GET, "exp": 9e9}, GetGrant), held.rig.fabric), RefusedError, "signed"),
            ]
            for grant, kind, words in gets:
                with pytest.raises(kind, match=words):
                    await stores.get_batch_to_file(held.rig.endpoint, grant, ["map/0/1/a"], tmp_path / "got")
            puts: list[tuple[str, type[LeaseGridError], str]] = [
                (put_grant(held, key_prefix="map/0/2"), RefusedError, "not below"),
                (put_grant(held, term=0), StoreFencedError, "of term 0"),
                (put_grant(held, max_bytes=8), RefusedError, "9 bytes, 8 are granted"),
            ]
            for grant, kind, words in puts:
                with pytest.raises(kind, match=words):
                    await stores.put_batch(held.rig.endpoint, grant, [("map/0/1/b", b"xyz")])
            assert [info.key async for info in held.store.list_objects()] == ["map/0/1/a"]
            assert not (tmp_path / "got").exists()

    asyncio.run(story())


GET = {"store": LEASE, "term": 1, "prefix": "map"}


@pytest.mark.unhappy("a worker of an earlier epoch that writes late")
def test_a_late_write_under_a_grant_of_an_older_epoch_is_fenced_at_the_successor(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Block") as held, StoreConnections() as stores:
            late = put_grant(held)
            await stores.put_batch(held.rig.endpoint, late, [("map/0/1/a", b"first" * 2000)])
            assert held.rig.process is not None
            held.rig.process.kill()
            held.rig.process.wait()
            Path(held.rig.endpoint.removeprefix("unix://")).unlink()
            async with store_member(tmp_path, "Block", after=held.rig) as (rig, client):
                state = await rig.claimed(client)
                with pytest.raises(StoreFencedError, match="of term 1, the store is at term 2"):
                    await stores.put_batch(rig.endpoint, late, [("map/0/1/b", b"late")])
                async with StoreClient(rig.endpoint, rig.signed(rig.capability(state)), rig.holder) as store:
                    assert await store.get_batch(["map/0/1/a"]) == [b"first" * 2000]
                    assert [info.key async for info in store.list_objects()] == ["map/0/1/a"]

    asyncio.run(story())


@ROLES
@pytest.mark.unhappy("a store that is full")
def test_a_full_store_refuses_the_batch_whole_and_says_how_full_it_is_and_what_to_do(role: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, role, quota=4 * MEBIBYTE) as held, StoreConnections() as stores:
            first = [("map/0/1/a", b"x" * 3 * MEBIBYTE)]
            await stores.put_batch(held.rig.endpoint, put_grant(held), first)
            parts: list[tuple[str, bytes | Path]] = [(f"map/0/1/{n}", b"y" * 500_000) for n in range(5)]
            for attempt in (
                stores.put_batch(held.rig.endpoint, put_grant(held), parts),
                held.store.put_batch(parts),
            ):
                with pytest.raises(
                    StoreError, match=r"m0 in .* is full: 3,145,728 of 4,194,304 .*larger storage\.size"
                ):
                    await attempt
            assert [info.key async for info in held.store.list_objects()] == ["map/0/1/a"]
            assert len(part_files(tmp_path)) == 1
            await stores.put_batch(held.rig.endpoint, put_grant(held), first)
            await held.store.put_batch(parts[:2])

    asyncio.run(story())


@pytest.mark.unhappy("a large batch for a full store")
def test_a_refusal_that_comes_before_the_batch_is_sent_leaves_no_connection_behind(tmp_path: Path) -> None:
    async def put(held: HeldStore) -> None:
        async with StoreConnections() as stores:
            with pytest.raises(StoreError, match="is full"):
                await stores.put_batch(held.rig.endpoint, put_grant(held), [("map/0/1/a", b"x" * 32 * MEBIBYTE)])

    async def story() -> None:
        async with held_store(tmp_path, quota=MEBIBYTE) as held:
            # Its loop ends right after the refusal, and with it whoever waits for a connection to be closed.
            await asyncio.to_thread(lambda: asyncio.run(put(held)))

    asyncio.run(story())
    gc.collect()


@pytest.mark.unhappy("a worker that dies in the middle of a batch")
def test_a_batch_whose_sender_dies_leaves_nothing(tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield framed(ObjectHead("map/0/1/whole", 100_000)) + b"w" * 100_000
        yield framed(ObjectHead("map/0/1/half", 3 * MEBIBYTE)) + b"h" * 2 * MEBIBYTE
        async with asyncio.timeout(30):
            while not any((tmp_path / "volume" / "incoming").iterdir()):  # noqa: ASYNC110  # another process's directory
                await asyncio.sleep(0.01)
        raise ConnectionAbortedError

    async def story() -> None:
        async with held_store(tmp_path) as held:
            with contextlib.suppress(aiohttp.ClientError):
                await post(held, cut())
            async with asyncio.timeout(30):
                while part_files(tmp_path):  # noqa: ASYNC110  # another process's directory
                    await asyncio.sleep(0.01)
            assert [info async for info in held.store.list_objects()] == []
            await held.store.put_batch([("map/0/1/whole", b"x" * 60 * MEBIBYTE)])

    asyncio.run(story())


@pytest.mark.unhappy("a lease that ends in the middle of a batch")
def test_a_batch_under_way_is_cut_off_when_the_lease_ends_and_leaves_nothing(tmp_path: Path) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield framed(ObjectHead("map/0/1/a", MEBIBYTE)) + b"w" * MEBIBYTE
        yield framed(ObjectHead("map/0/1/b", 32 * MEBIBYTE))
        while True:
            yield b"x" * 10_000
            await asyncio.sleep(0.01)

    async def story() -> None:
        async with held_store(tmp_path, "Block") as held:
            putting = asyncio.create_task(post(held, slowly()))
            async with asyncio.timeout(30):
                while not part_files(tmp_path):  # noqa: ASYNC110  # another process's directory
                    await asyncio.sleep(0.02)
            await held.member.release(held.capability())
            with contextlib.suppress(aiohttp.ClientError):  # the end of the process may overtake the answer
                assert await putting in ("LeaseExpired", "NotReady")
            assert part_files(tmp_path) == []

    asyncio.run(story())


@pytest.mark.unhappy("a block member that is killed while batches arrive")
def test_after_a_kill_every_batch_that_was_answered_is_there_and_none_is_there_by_half(tmp_path: Path) -> None:
    def batch(number: int) -> list[tuple[str, bytes | Path]]:
        return [(f"map/0/1/{number}/{part}", b"%d" % part * (900 * (part + 1))) for part in range(10)]

    async def put_until_killed(
        held: HeldStore, stores: StoreConnections, answered: list[int], some: asyncio.Event
    ) -> None:
        with contextlib.suppress(LeaseGridError):
            for number in range(10_000):
                await stores.put_batch(held.rig.endpoint, put_grant(held), batch(number))
                answered.append(number)
                if number == 5:
                    some.set()

    async def story() -> None:
        answered: list[int] = []
        async with held_store(tmp_path, "Block") as held, StoreConnections() as stores:
            some = asyncio.Event()
            putting = asyncio.create_task(put_until_killed(held, stores, answered, some))
            await asyncio.wait_for(some.wait(), 30)
            await asyncio.sleep(random.Random(5).uniform(0, 0.1))
            assert held.rig.process is not None
            held.rig.process.kill()
            await putting
            held.rig.process.wait()
            Path(held.rig.endpoint.removeprefix("unix://")).unlink()
            async with store_member(tmp_path, "Block", after=held.rig) as (rig, client):
                state = await rig.claimed(client)
                async with StoreClient(rig.endpoint, rig.signed(rig.capability(state)), rig.holder) as store:
                    keys = {info.key async for info in store.list_objects()}
                    for number in range(len(keys) // 10):
                        objects = batch(number)
                        assert await store.get_batch([key for key, _ in objects]) == [data for _, data in objects]
                    assert len(answered) <= len(keys) // 10 <= len(answered) + 1
                    assert len(keys) % 10 == 0
                assert len(part_files(tmp_path)) == len(keys) // 10

    asyncio.run(story())


def test_memory_stays_flat_while_hundreds_of_megabytes_go_in_and_out(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(256 * MEBIBYTE)

    async def story() -> None:
        async with held_store(tmp_path, quota=2**30) as held, StoreConnections() as stores:
            await held.store.put_batch([("warm", b"x" * 5 * MEBIBYTE)])
            await held.store.get_batch(["warm"])
            assert held.rig.process is not None
            before, own = high_water(held.rig.process.pid), high_water(os.getpid())
            await stores.put_batch(held.rig.endpoint, put_grant(held), [("map/0/1/large", large)])
            await stores.get_batch_to_file(held.rig.endpoint, get_grant(held), ["map/0/1/large"], tmp_path / "got")
            (tmp_path / "got").unlink()
            await held.store.get_file("map/0/1/large", tmp_path / "got")
            await held.store.put("single", large)
            assert high_water(held.rig.process.pid) - before < 40 * MEBIBYTE
            assert high_water(os.getpid()) - own < 40 * MEBIBYTE

    asyncio.run(story())


@pytest.mark.unhappy("files of a batch that cannot be read")
def test_a_file_that_is_not_there_is_an_input_error_and_puts_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held:
            for source in (tmp_path / "none", tmp_path):
                with pytest.raises(InputError, match="cannot read"):
                    await held.store.put_batch([("first", b"x" * 2 * MEBIBYTE), ("second", source)])
            assert [info async for info in held.store.list_objects()] == []

    asyncio.run(story())


async def post(held: HeldStore, body: AsyncIterator[bytes]) -> str:
    """A batch by hand; the refusal's code."""
    connector = aiohttp.UnixConnector(path=held.rig.endpoint.removeprefix("unix://"))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.post("http://m/v1/batch", data=body, headers={"X-Leasegrid-Grant": put_grant(held)}) as response,
    ):
        return msgspec.json.decode(await response.read(), type=ErrorReply).code


def high_water(pid: int) -> int:
    """The most memory that a process had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the kernel does not say how much memory process {pid} had")
