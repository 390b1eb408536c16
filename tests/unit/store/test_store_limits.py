"""Full stores: by quota, by the disk. What was written stays readable, nothing half written is visible."""

import asyncio
from pathlib import Path

import pytest

from tasklet_runner.wire.errors import RefusedError, StoreError
from tests.support.small_disk import run_on_small_disk
from tests.support.stores import MEBIBYTE, commit, opened, output, pieces


def test_the_quota_is_counted_to_the_byte(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, quota_bytes=100) as store:
            await store.write([output(0, b"x" * 60), output(1, b"x" * 39)], [])
            with pytest.raises(StoreError, match="99 of 100 bytes are used and 2 more are wanted"):
                await store.write([output(2, b"xx")], [commit(2)])
            await store.write([output(2, b"x")], [])
            assert await store.used_bytes() == 100
            await store.write([output(0, b"x" * 60)], [commit(0), commit(1)])
        async with opened(tmp_path, quota_bytes=101) as store:
            await store.write([output(3, b"x")], [])

    asyncio.run(check())


def test_a_store_that_is_full_by_quota_says_its_name_and_the_field_that_enlarges_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, quota_bytes=2 * MEBIBYTE) as store:
            large = b"x" * (MEBIBYTE + 1)
            await store.write([output(0, large)], [])
            with pytest.raises(StoreError, match=rf"store-1 in {tmp_path} is full.*spec\.output\.size"):
                await store.write([output(1, large)], [commit(1)])
            with pytest.raises(StoreError, match=r"spec\.output\.size"):
                await store.receive("main/2/1/stdout", pieces(*[b"x" * 1000] * 2000), 10 * MEBIBYTE)
            assert await store.read("main/0/1/stdout") == large
            assert await store.commits("main") == []
            await store.put_value("finished", b"StoreUnavailable")
            await store.write([output(3, b"x" * (MEBIBYTE - 1))], [])
        assert len(list((tmp_path / "files").glob("*/*"))) == 2
        assert list((tmp_path / "incoming").iterdir()) == []

    asyncio.run(check())


def test_an_upload_ends_at_its_bound_and_leaves_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            with pytest.raises(RefusedError, match="more than the granted") as caught:
                await store.receive("main/0/1/stdout", pieces(*[b"x" * MEBIBYTE] * 3), 2 * MEBIBYTE)
            assert caught.value.reason == "TooLarge"
            assert await store.used_bytes() == 0
            with pytest.raises(KeyError):
                await store.stat("main/0/1/stdout")
        assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path] == []

    asyncio.run(check())


def test_uploads_that_run_side_by_side_share_the_quota(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, quota_bytes=3 * MEBIBYTE) as store:
            uploads = [
                store.receive(f"main/{number}/1/stdout", pieces(*[b"x" * MEBIBYTE] * 2), 2 * MEBIBYTE)
                for number in range(2)
            ]
            ended = await asyncio.gather(*uploads, return_exceptions=True)
            assert sum(isinstance(end, StoreError) for end in ended) >= 1
            assert await store.used_bytes() <= 3 * MEBIBYTE
            await store.write([output(9, b"x" * (3 * MEBIBYTE - await store.used_bytes()))], [])

    asyncio.run(check())


_FILL = """
import asyncio, pathlib, sys
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.wire.errors import StoreError
root = pathlib.Path(sys.argv[1])

def data(index):
    # Large ones grow, so that a bound on each file is met as well as one on all of them.
    return index.to_bytes(4, "big") * (1000 if SMALL else 25_000 * (index + 1))

async def main():
    store = DiskStore.open(root / "store", uid="store-1", quota_bytes=1 << 30, term=1)
    acknowledged = []
    try:
        for index in range(10_000):
            await store.write([NewObject(f"main/{index}/1/stdout", data(index))], [CommitRecord("main", index, 1, "x")])
            acknowledged.append(index)
    except StoreError as error:
        print(error)
    else:
        raise AssertionError("the disk never was full")
    assert len(acknowledged) > 3
    assert await store.used_bytes() == sum(len(data(index)) for index in acknowledged)
    for index in acknowledged:
        assert await store.read(f"main/{index}/1/stdout") == data(index)
    assert [record.index for record in await store.commits("main", 0, 10_000)] == acknowledged
    assert not list((root / "store" / "incoming").iterdir())
    await store.close()
    store = DiskStore.open(root / "store", uid="store-1", quota_bytes=1 << 30, term=1)
    assert len(await store.commits("main", 0, 10_000)) == len(acknowledged)
    await store.close()

asyncio.run(main())
"""


@pytest.mark.unhappy("the disk is full")
@pytest.mark.parametrize("small", [True, False], ids=["small objects in the index", "large objects in files"])
def test_on_a_full_disk_the_message_says_so_and_what_was_acknowledged_stays(small: bool, tmp_path: Path) -> None:
    printed = run_on_small_disk(f"SMALL = {small}\n{_FILL}", tmp_path / "disk", megabytes=4)
    assert "the store store-1 in" in printed
    assert "bytes free" in printed or "bytes are free there" in printed
    assert "free space" in printed or "check the disk" in printed
