"""What a store holds can be asked while it is served, and afterwards."""

import asyncio
from pathlib import Path

import pytest

from tasklet_runner.store.usage import StoreUsage, read_usage
from tasklet_runner.wire.errors import StoreError
from tests.support.stores import commit, opened, output


def test_usage_is_read_beside_the_server_and_after_its_end(tmp_path: Path) -> None:
    expected = StoreUsage(used_bytes=7, objects=2, commits=1, term=4)

    async def check() -> None:
        async with opened(tmp_path, term=4) as store:
            await store.write([output(0, b"four"), output(1, b"yes")], [commit(0)])
            assert read_usage(tmp_path) == expected

    asyncio.run(check())
    assert read_usage(tmp_path) == expected


def test_a_directory_without_a_store_is_a_store_error_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the store"):
        read_usage(tmp_path)
    assert list(tmp_path.iterdir()) == []
