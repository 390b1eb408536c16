"""Wrong bytes are never returned."""

import asyncio
import re
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from tasklet_runner.wire.errors import StoreError
from tasklet_runner.wire.queues import CommitRecord
from tests.support.stores import MEBIBYTE, opened, output

LARGE = b"abcdefgh" * 400_000


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def _store_with_one_large_object(directory: Path) -> Path:
    async def write() -> None:
        async with opened(directory) as store:
            await store.write([output(0, LARGE), output(1, b"small")], [])

    asyncio.run(write())
    (file,) = (directory / "files").glob("*/*")
    return file


def test_a_flipped_bit_of_a_large_object_is_an_error_for_every_range_that_holds_it(tmp_path: Path) -> None:
    _flip(_store_with_one_large_object(tmp_path), MEBIBYTE + 5)

    async def check() -> None:
        async with opened(tmp_path) as store:
            for offset, length in [(0, -1), (MEBIBYTE, 10), (0, MEBIBYTE + 1)]:
                with pytest.raises(StoreError, match=r"main/0/1/stdout.*checksum"):
                    await store.read("main/0/1/stdout", offset, length)
            assert await store.read("main/0/1/stdout", 0, MEBIBYTE) == LARGE[:MEBIBYTE]

    asyncio.run(check())


def test_a_truncated_or_missing_file_is_an_error(tmp_path: Path) -> None:
    file = _store_with_one_large_object(tmp_path)

    async def check() -> None:
        async with opened(tmp_path) as store:
            with file.open("r+b") as opened_file:
                opened_file.truncate(MEBIBYTE)
            with pytest.raises(StoreError):
                await store.read("main/0/1/stdout")
            file.unlink()
            with pytest.raises(StoreError):
                await store.read("main/0/1/stdout")
            assert await store.read("main/1/1/stdout") == b"small"

    asyncio.run(check())


def test_a_changed_small_object_is_an_error(tmp_path: Path) -> None:
    _store_with_one_large_object(tmp_path)
    with sqlite3.connect(tmp_path / "index.db") as connection:
        connection.execute("UPDATE objects SET data=CAST('smell' AS BLOB) WHERE key='main/1/1/stdout'")
    connection.close()

    async def check() -> None:
        async with opened(tmp_path) as store:
            with pytest.raises(StoreError, match="checksum"):
                await store.read("main/1/1/stdout")

    asyncio.run(check())


def _copies(directory: Path, text: bytes) -> list[int]:
    """Where it stands in the index of a store that is closed."""
    return [found.start() for found in re.finditer(re.escape(text), (directory / "index.db").read_bytes())]


@pytest.mark.unhappy("a flipped bit in either copy of an object's key: it is never said that the object is not there")
@pytest.mark.parametrize("copy", [0, 1])
def test_an_object_whose_key_has_changed_is_not_absent(copy: int, tmp_path: Path) -> None:
    _store_with_one_large_object(tmp_path)
    key = b"main/1/1/stdout"
    copies = _copies(tmp_path, key)
    assert len(copies) == 2
    _flip(tmp_path / "index.db", copies[copy] + len(key) - 1)

    async def check() -> None:
        async with opened(tmp_path) as store:
            assert await store.read("main/0/1/stdout") == LARGE, "what is found is given"
            with suppress(StoreError):
                assert await store.read(key.decode()) == b"small", "by its right copy it may be found, and no KeyError"
            with pytest.raises(StoreError, match="the keys of 1 objects are not as they were written"):
                await store.read("main/7/1/stdout")
            with pytest.raises(StoreError, match="cannot be told"):
                await store.stat("main/7/1/stdout")
            with pytest.raises(StoreError, match="cannot be told"):
                await store.describe(["main/0/1/stdout", "main/7/1/stdout"])
            with pytest.raises(StoreError, match="cannot be listed"):
                store.page("main/", "", 10)
            used = await store.used_bytes()
            await store.drop_uncommitted()
            assert await store.used_bytes() == used, "nothing is deleted of which it is not known what it is"

    asyncio.run(check())


@pytest.mark.unhappy("a flipped bit in either copy of a commit's stage: no chunk passes for one that was not done")
@pytest.mark.parametrize("copy", [0, 1])
def test_a_commit_whose_stage_has_changed_is_not_absent(copy: int, tmp_path: Path) -> None:
    _commit_some(tmp_path, "squares")
    copies = _copies(tmp_path, b"squares")
    assert len(copies) == 6
    _flip(tmp_path / "index.db", copies[2 + copy])

    async def check() -> None:
        async with opened(tmp_path) as store:
            with pytest.raises(StoreError, match="which chunks are done cannot be told"):
                await store.commits("squares")

    asyncio.run(check())


@pytest.mark.unhappy("a commit whose number has changed")
def test_a_commit_that_stands_where_another_should_is_an_error(tmp_path: Path) -> None:
    _commit_some(tmp_path, "squares")
    with sqlite3.connect(tmp_path / "index.db") as connection:
        connection.execute("UPDATE commits SET number=9 WHERE number=1")
    connection.close()

    async def check() -> None:
        async with opened(tmp_path) as store:
            with pytest.raises(StoreError, match="where that of another should"):
                await store.commits("squares")

    asyncio.run(check())


def _commit_some(directory: Path, stage: str) -> None:
    async def write() -> None:
        async with opened(directory) as store:
            await store.write([], [CommitRecord(stage, number, 1, f"{number}-id") for number in range(3)])

    asyncio.run(write())
