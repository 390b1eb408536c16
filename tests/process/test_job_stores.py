"""A job's store at a leased member, as a coordinator uses it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tasklet_runner.client.stores import StoreConnections
from tasklet_runner.fabric.protocol import LeasedMember, LeaseView
from tasklet_runner.hosting.job_store import JobStoreClient
from tasklet_runner.store.protocol import CommitRecord, NewObject, all_commits
from tasklet_runner.wire.errors import StoreError, StoreFencedError
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tests.support.members import LEASE
from tests.support.store_members import HeldStore, held_store


def client_of(held: HeldStore, term: int) -> JobStoreClient:
    rig = held.rig
    member = LeasedMember(name="m", endpoint=rig.endpoint, incarnation="i", epoch=1, slots=0, tasklet_memory=0)
    view = LeaseView(
        uid=LEASE, name="store", version=1, members=(member,), capabilities=(held.capability(),), expires_in=60.0,
        ttl_seconds=60, wanted=1,
    )  # fmt: skip
    return JobStoreClient(view, rig.holder, term)


def record(index: int, attempt: int = 1) -> CommitRecord:
    return CommitRecord(stage="main", index=index, attempt=attempt, chunk_id=f"{index}-x")


def objects(count: int, attempt: int = 1) -> list[NewObject]:
    return [NewObject(f"main/{index}/{attempt}/stdout", f"{index}\n".encode()) for index in range(count)]


async def put_as(held: HeldStore, term: int) -> None:
    """What a worker does with the grant of a coordinator of that term."""
    grant = PutGrant(store=LEASE, term=term, key_prefix="main/1/1", max_bytes=100, expires_at=held.rig.issued_at + 60)
    async with StoreConnections() as stores:
        await stores.put_batch(held.rig.endpoint, sign(grant, held.rig.holder), [("main/1/1/stdout", b"1")])


@pytest.mark.parametrize("role", ["Memory", "Block"])
def test_a_coordinator_writes_and_reads_all_that_a_job_has(role: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, role) as held:
            store = client_of(held, term=3)
            try:
                assert (await store.open()).term == 3
                assert await store.write(objects(5), [record(index) for index in range(5)]) == 5
                assert await store.write(objects(5), [record(0, attempt=2)]) == 0
                assert [one.index async for one in all_commits(store, "main")] == [0, 1, 2, 3, 4]
                assert await store.read("main/3/1/stdout") == b"3\n"
                assert (await store.stat("main/3/1/stdout")).size == 2
                await store.write([NewObject("main/8/1/stdout", b"")], [record(8)])
                assert await store.read("main/8/1/stdout", 0, 1024) == b"", "an empty object is read in pieces, too"
                assert await store.read("main/3/1/stdout", 1, 1024) == b"\n"
                assert await store.read("main/3/1/stdout", 2, 1024) == b""
                with pytest.raises(KeyError):
                    await store.read("main/9/1/stdout")
                with pytest.raises(KeyError):
                    await store.stat("main/9/1/stdout")
                await store.write([NewObject("main/7/1/stdout", b"nobody's")], [])
                await store.drop_uncommitted()
                with pytest.raises(KeyError):
                    await store.stat("main/7/1/stdout")
                assert await store.get_value("plan/ü") is None
                await store.put_value("plan/ü", b"\x00plan")
                assert await store.get_value("plan/ü") == b"\x00plan"
                await store.sync()
                assert await store.used_bytes() == 10
            finally:
                await store.close()

    asyncio.run(story())


@pytest.mark.unhappy("an older coordinator that still writes")
def test_a_later_term_shuts_out_all_earlier_ones_and_their_grants(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Block") as held:
            older, newer = client_of(held, term=1), client_of(held, term=2)
            try:
                await older.open()
                await older.write(objects(1), [record(0)])
                await newer.open()
                calls: list[Callable[[], Awaitable[object]]] = [
                    lambda: older.write(objects(2), [record(1)]),
                    lambda: older.put_value("finished", b""),
                    lambda: older.get_value("finished"),
                    older.open,
                    older.drop_uncommitted,
                    older.used_bytes,
                ]
                for call in calls:
                    with pytest.raises(StoreFencedError, match="term 2"):
                        await call()
                assert [one.index async for one in all_commits(newer, "main")] == [0]
                with pytest.raises(StoreFencedError, match="of term 1, the store is at term 2"):
                    await put_as(held, 1)
                await put_as(held, 2)
            finally:
                await older.close()
                await newer.close()

    asyncio.run(story())


@pytest.mark.unhappy("a job's store that is full")
def test_a_full_store_says_how_to_enlarge_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Memory", quota=1024) as held:
            store = client_of(held, term=1)
            try:
                await store.open()
                with pytest.raises(StoreError, match="size"):
                    await store.write([NewObject("main/0/1/stdout", bytes(2000))], [record(0)])
                assert [one async for one in all_commits(store, "main")] == []
            finally:
                await store.close()

    asyncio.run(story())
