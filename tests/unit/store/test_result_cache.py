"""What a named cache promises to the jobs that share it."""

import asyncio
import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from tasklet_runner.plan.types import CacheSettings
from tasklet_runner.store.cache import ResultCache
from tasklet_runner.wire.errors import StoreError


class Clock:
    """UNIX seconds that a test moves by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def settings(size: int = 1000, retain_seconds: int = 3600) -> CacheSettings:
    return CacheSettings(name="build", size=size, retain_seconds=retain_seconds)


def test_what_was_put_survives_the_job(tmp_path: Path) -> None:
    async def check() -> None:
        first = await ResultCache.open(tmp_path / "cache", settings())
        await first.put_many({"a": b"1", "b": b""})
        assert await first.get_many(["a", "b", "c"]) == {"a": b"1", "b": b""}
        await first.close()
        await first.close()
        second = await ResultCache.open(tmp_path / "cache", settings())
        assert await second.get_many(["a", "b", "c"]) == {"a": b"1", "b": b""}
        await second.close()

    asyncio.run(check())


def test_the_least_recently_used_goes_first_and_the_bound_holds(tmp_path: Path) -> None:
    async def check() -> None:
        clock = Clock()
        cache = await ResultCache.open(tmp_path, settings(size=100), clock=clock)
        for key in "abcd":
            clock.now += 1
            await cache.put_many({key: b"x" * 25})
        clock.now += 1
        await cache.get_many(["a"])
        clock.now += 1
        await cache.put_many({"e": b"x" * 30})
        assert set(await cache.get_many(list("abcde"))) == {"a", "d", "e"}
        assert await cache.used_bytes() == 80
        await cache.put_many({"a": b"x" * 40, "huge": b"x" * 101})
        assert set(await cache.get_many(["a", "d", "e", "huge"])) == {"a", "d", "e"}
        assert await cache.used_bytes() == 95
        await cache.close()
        smaller = await ResultCache.open(tmp_path, settings(size=50), clock=clock)
        assert await smaller.used_bytes() <= 50
        await smaller.close()

    asyncio.run(check())


def test_what_nobody_used_for_its_time_goes(tmp_path: Path) -> None:
    async def check() -> None:
        clock = Clock()
        cache = await ResultCache.open(tmp_path, settings(retain_seconds=100), clock=clock)
        await cache.put_many({"used": b"1", "unused": b"2"})
        clock.now += 60
        await cache.get_many(["used"])
        await cache.close()
        clock.now += 60
        cache = await ResultCache.open(tmp_path, settings(retain_seconds=100), clock=clock)
        assert await cache.get_many(["used", "unused"]) == {"used": b"1"}
        await cache.close()

    asyncio.run(check())


def test_a_changed_value_counts_as_absent(tmp_path: Path) -> None:
    async def check() -> None:
        cache = await ResultCache.open(tmp_path, settings())
        await cache.put_many({"a": b"right", "b": b"fine"})
        other = sqlite3.connect(tmp_path / "cache.db")
        other.execute("UPDATE entries SET value=CAST('wrong' AS BLOB) WHERE key='a'")
        other.commit()
        other.close()
        assert await cache.get_many(["a", "b"]) == {"b": b"fine"}
        await cache.close()

    asyncio.run(check())


def test_a_cache_that_is_no_database_is_a_store_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"not a database, certainly not" * 100)

    async def check() -> None:
        with pytest.raises(StoreError, match="only time is lost"):
            await ResultCache.open(tmp_path, settings())

    asyncio.run(check())


def _use(directory: Path, worker: int) -> None:
    async def use() -> None:
        cache = await ResultCache.open(directory, settings(size=20_000))
        for number in range(60):
            await cache.put_many({f"{worker}-{number}-{part}": b"x" * 100 for part in range(5)})
            await cache.get_many([f"{1 - worker}-{number}-0", "shared"])
            await cache.put_many({"shared": b"s" * 50})
        await cache.close()

    asyncio.run(use())


def test_two_jobs_may_use_one_cache_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=_use, args=(tmp_path, worker)) for worker in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0]

    async def check() -> None:
        cache = await ResultCache.open(tmp_path, settings(size=20_000))
        assert await cache.get_many(["shared"]) == {"shared": b"s" * 50}
        await cache.close()
        connection = sqlite3.connect(tmp_path / "cache.db")
        total = connection.execute("SELECT sum(size) FROM entries").fetchone()[0]
        connection.close()
        assert total == await _used(tmp_path)
        assert 19_000 <= total <= 20_000

    asyncio.run(check())


async def _used(directory: Path) -> int:
    cache = await ResultCache.open(directory, settings(size=20_000))
    used = await cache.used_bytes()
    await cache.close()
    return used
