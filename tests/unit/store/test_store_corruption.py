"""Wrong bytes are never returned."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tasklet_runner.wire.errors import StoreError
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
