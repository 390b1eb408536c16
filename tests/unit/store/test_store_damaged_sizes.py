"""An object whose size is not what was written is an error: no checksum covers it, and no part passes for the whole."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tasklet_runner.wire.digests import BLOCK_BYTES
from tasklet_runner.wire.errors import StoreError
from tests.support.stores import opened, output

OBJECTS = [output(0, b"small"), output(1, b"m" * 100_000), output(2, b"l" * (2 * BLOCK_BYTES + 5))]


@pytest.mark.unhappy("the size of an object in a store's index is damaged")
@pytest.mark.parametrize(
    ("number", "size"),
    [
        pytest.param(0, 0, id="a small object of no bytes"),
        pytest.param(0, 3, id="a part of a small object"),
        pytest.param(0, 6, id="more than a small object has"),
        pytest.param(1, 0, id="a file of no bytes"),
        pytest.param(1, 99_999, id="a part of a file"),
        pytest.param(1, BLOCK_BYTES + 1, id="more than a file has"),
        pytest.param(2, BLOCK_BYTES, id="the first block of an object, which is whole"),
        pytest.param(2, 2 * BLOCK_BYTES, id="all blocks but the last"),
        pytest.param(2, 3 * BLOCK_BYTES + 1, id="a block too many"),
        pytest.param(2, -1, id="less than none"),
    ],
)
def test_an_object_of_another_size_than_was_written_is_refused(tmp_path: Path, number: int, size: int) -> None:
    key = OBJECTS[number].key

    async def run() -> None:
        async with opened(tmp_path) as store:
            await store.write(OBJECTS, [])
        with closing(sqlite3.connect(tmp_path / "index.db")) as index, index:
            index.execute("UPDATE objects SET size=? WHERE key=?", (size, key))
        async with opened(tmp_path) as store:
            with pytest.raises(StoreError, match="checksum"):
                await store.read(key)
            with pytest.raises(StoreError, match="checksum"):
                [piece async for piece in store.read_batch([key])]

    asyncio.run(run())
