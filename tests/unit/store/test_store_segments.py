"""Segments: when they go, and what a crash leaves of them."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.grants import Allowance
from tasklet_runner.wire.batches import ObjectHead, framed
from tasklet_runner.wire.errors import StoreError
from tests.support.stores import MEBIBYTE, commit, opened, output, pieces

LARGE = bytes(range(256)) * 10_000


async def put(store: DiskStore, objects: dict[str, bytes]) -> None:
    body = b"".join(framed(ObjectHead(key, len(data))) + data for key, data in objects.items())
    await store.receive_batch(pieces(body[:100], body[100:]), Allowance(64 * MEBIBYTE))


def segments(directory: Path) -> int:
    return len(list((directory / "files").glob("*/*")))


def test_a_segment_goes_with_the_last_of_its_objects(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await put(store, {"main/0/1/part-0": b"a" * 9000, "main/1/1/part-0": b"b" * 9000})
            await store.write([output(0, b"second", attempt=2)], [commit(0, 2)])
            assert segments(tmp_path) == 1
            assert await store.read("main/1/1/part-0") == b"b" * 9000
            await store.write([output(1, b"second", attempt=2)], [commit(1, 2)])
            assert segments(tmp_path) == 0
            assert await store.used_bytes() == 2 * len("second")

    asyncio.run(check())


def test_objects_of_a_segment_are_read_in_ranges_across_blocks(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await put(store, {"first": b"f" * 5000, "large": LARGE, "last": b"l" * 5000})
        async with opened(tmp_path) as store:
            for offset, length in [(0, 1), (MEBIBYTE - 1, 2), (2_559_999, 5), (3_000_000, 5), (100, 2 * MEBIBYTE)]:
                assert await store.read("large", offset, length) == LARGE[offset : offset + length]
            assert await store.read("first", 4990, 100) == b"f" * 10
            assert await store.read("last") == b"l" * 5000
            assert segments(tmp_path) == 1

    asyncio.run(check())


def test_what_is_there_already_is_not_written_again_into_the_segment(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await put(store, {"a": b"a" * 9000})
            await put(store, {"a": b"a" * 9000, "b": b"b" * 5000})
            assert await store.used_bytes() == 14_000
            sizes = sorted(path.stat().st_size for path in (tmp_path / "files").glob("*/*"))
            assert sizes == [5000, 9000]
            await put(store, {"a": b"a" * 9000, "b": b"b" * 5000})
            assert segments(tmp_path) == 2

    asyncio.run(check())


def test_the_same_batch_twice_at_once_is_there_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            objects = {f"main/0/1/part-{number}": b"x" * 300_000 for number in range(5)}
            await asyncio.gather(put(store, objects), put(store, objects))
            assert await store.used_bytes() == 1_500_000
            assert store.room == store.quota_bytes - 1_500_000
            assert segments(tmp_path) == 1

    asyncio.run(check())


def test_very_many_small_objects_do_not_stay_in_memory_but_go_into_the_segment(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await put(store, {f"k{number:05}": b"%d" % (number % 10) * 4000 for number in range(1200)})
            (segment,) = (tmp_path / "files").glob("*/*")
            assert segment.stat().st_size == 1200 * 4000 - 4 * MEBIBYTE // 4000 * 4000
            assert await store.read("k00007") == b"7" * 4000
            assert await store.read("k01199") == b"9" * 4000

    asyncio.run(check())


@pytest.mark.unhappy("a store that another version has written")
def test_a_store_of_another_format_is_refused_in_words_and_left_as_it_is(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([output(0, LARGE)], [commit(0)])
        with sqlite3.connect(tmp_path / "index.db") as connection:
            connection.execute("PRAGMA user_version=1")
        connection.close()
        before = (tmp_path / "index.db").read_bytes()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"is of format 1, this version reads and writes format 2.*delete it"):
                DiskStore.open(tmp_path, uid="store-1", quota_bytes=MEBIBYTE, term=2)
        assert (tmp_path / "index.db").read_bytes() == before

    asyncio.run(check())


def test_many_who_wait_for_the_disk_at_once_are_all_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await put(store, {"a": b"a"})
            await asyncio.gather(*(store.sync() for _ in range(100)))
            await store.sync()

    asyncio.run(check())
