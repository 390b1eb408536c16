"""What a store promises to its coordinator."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import NewObject, all_commits
from tasklet_runner.wire.errors import ObjectConflictError, StateDirectoryError, StoreError, StoreFencedError
from tasklet_runner.wire.uploads import file_key
from tests.support.stores import MEBIBYTE, commit, opened, output, pieces

LARGE = bytes(range(256)) * 10_000


def test_small_and_large_objects_are_read_back_whole_and_in_ranges_after_reopening(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            assert await store.write([output(0, b"small"), output(1, LARGE), output(2, b"")], [commit(0)]) == 1
        async with opened(tmp_path) as store:
            assert await store.read("main/0/1/stdout") == b"small"
            assert await store.read("main/1/1/stdout") == LARGE
            assert await store.read("main/2/1/stdout") == b""
            for offset, length in [(0, 1), (MEBIBYTE - 1, 2), (2_559_999, 5), (3_000_000, 5), (100, 2 * MEBIBYTE)]:
                assert await store.read("main/1/1/stdout", offset, length) == LARGE[offset : offset + length]
            assert await store.read("main/0/1/stdout", 2, 2) == b"al"
            assert await store.read("main/0/1/stdout", 9) == b""
            assert (await store.stat("main/1/1/stdout")).size == len(LARGE)
            assert await store.used_bytes() == len(LARGE) + 5

    asyncio.run(check())


def test_an_object_that_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            with pytest.raises(KeyError):
                await store.read("main/0/1/stdout")
            with pytest.raises(KeyError):
                await store.stat("main/0/1/stdout")
            assert await store.get_value("progress") is None

    asyncio.run(check())


def test_the_same_bytes_again_are_no_error_and_count_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            for _ in range(2):
                await store.write([output(0, b"same"), output(1, LARGE), output(0, b"same")], [])
                await store.receive("main/2/1/stdout", pieces(LARGE), len(LARGE))
            assert await store.used_bytes() == 4 + 2 * len(LARGE)
        assert len(list((tmp_path / "files").glob("*/*"))) == 2

    asyncio.run(check())


@pytest.mark.parametrize("other", [b"other", LARGE], ids=["small", "large"])
def test_other_bytes_under_a_key_are_refused_and_change_nothing(other: bytes, tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([output(0, b"first")], [])
            with pytest.raises(ObjectConflictError, match="write-once"):
                await store.write([output(1, b"new"), output(0, other)], [commit(1)])
            with pytest.raises(ObjectConflictError):
                await store.receive("main/0/1/stdout", pieces(other), len(other))
            assert await store.read("main/0/1/stdout") == b"first"
            assert await store.used_bytes() == 5
            assert await store.commits("main") == []
        assert list((tmp_path / "files").glob("*/*")) == []

    asyncio.run(check())


def test_the_first_commit_of_a_chunk_stays_and_the_objects_of_other_attempts_give_their_bytes_back(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.receive("main/7/1/out/part", pieces(LARGE), len(LARGE))
            await store.write([output(70, b"another chunk")], [commit(70)])
            assert await store.write([output(7, b"two", attempt=2)], [commit(7, 2)]) == 1
            assert await store.write([output(7, b"three", attempt=3)], [commit(7, 3)]) == 0
            assert [(record.index, record.attempt) for record in await store.commits("main")] == [(7, 2), (70, 1)]
            assert await store.read("main/7/2/stdout") == b"two"
            assert await store.used_bytes() == len("two") + len("another chunk")
            with pytest.raises(KeyError):
                await store.stat("main/7/3/stdout")
        assert list((tmp_path / "files").glob("*/*")) == []

    asyncio.run(check())


def test_commits_are_listed_in_index_order_by_pages(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([], [commit(index) for index in reversed(range(2500))])
            assert [record.index for record in await store.commits("main", 10, 3)] == [10, 11, 12]
            assert [record.index async for record in all_commits(store, "main")] == list(range(2500))

    asyncio.run(check())


@pytest.mark.parametrize(
    "key",
    ["ünïcode/😀", "with space and % and ?", "a/../b", "//", ".", "new\nline", "nul\0inside", "x" * 4000],
    ids=ascii,
)
def test_odd_keys_are_only_keys(key: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([NewObject(key, b"inline")], [])
            await store.receive(key + "+", pieces(LARGE), len(LARGE))
            assert (await store.read(key), await store.read(key + "+")) == (b"inline", LARGE)

    asyncio.run(check())
    assert {path.name for path in tmp_path.iterdir()} <= {"lock", "files", "incoming", "index.db"}


def test_a_key_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            with pytest.raises(StoreError, match="UTF-8"):
                await store.write([output(0, b"kept out"), NewObject("\ud800", b"")], [commit(0)])
            assert await store.used_bytes() == 0

    asyncio.run(check())


def test_values_are_replaced_whole(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.put_value("progress", b"1")
            await store.put_value("progress", b"2")
        async with opened(tmp_path) as store:
            assert await store.get_value("progress") == b"2"

    asyncio.run(check())


def test_a_second_opener_learns_which_process_holds_the_store(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path):
            with pytest.raises(StateDirectoryError, match=rf"in use by process {os.getpid()}\b"):
                DiskStore.open(tmp_path, uid="store-1", quota_bytes=MEBIBYTE, term=2)
        async with opened(tmp_path, term=2):
            pass

    asyncio.run(check())


def test_a_lower_term_is_fenced_for_ever_and_lets_the_lock_go(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path, term=3) as store:
            assert store.term == 3
        with pytest.raises(StoreFencedError, match="term 3"):
            DiskStore.open(tmp_path, uid="store-1", quota_bytes=MEBIBYTE, term=2)
        async with opened(tmp_path, term=3):
            pass

    asyncio.run(check())


def test_a_directory_that_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=re.escape(str(tmp_path / "file"))):
        DiskStore.open(tmp_path / "file" / "store", uid="store-1", quota_bytes=MEBIBYTE, term=1)


def test_what_a_crash_left_without_a_row_is_removed_at_the_next_opening(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([output(0, LARGE)], [])
        (tmp_path / "incoming" / "half").write_bytes(b"x")
        (tmp_path / "files" / "ab").mkdir(exist_ok=True)
        (tmp_path / "files" / "ab" / "abcd").write_bytes(b"x")
        async with opened(tmp_path) as store:
            assert await store.read("main/0/1/stdout") == LARGE
        assert list((tmp_path / "incoming").iterdir()) == []
        assert len(list((tmp_path / "files").glob("*/*"))) == 1

    asyncio.run(check())


def test_the_log_is_folded_into_the_database_while_writing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklet_runner.store.log.LOG_BYTES", MEBIBYTE)

    async def check() -> None:
        async with opened(tmp_path) as store:
            for index in range(600):
                await store.write([output(index, os.urandom(50_000))], [commit(index)])
                await asyncio.sleep(0)
            assert (tmp_path / "index.db-wal").stat().st_size < 20 * MEBIBYTE
        async with opened(tmp_path) as store:
            assert await store.used_bytes() == 600 * 50_000
            assert len(await store.read("main/599/1/stdout")) == 50_000

    asyncio.run(check())


@pytest.mark.unhappy("a coordinator died with outputs put and not committed: they give their bytes back")
def test_objects_of_attempts_that_nobody_committed_are_dropped(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([output(0, b"kept"), output(1, LARGE)], [commit(0), commit(1)])
            await store.write([output(0, b"another", attempt=2), output(2, LARGE), output(12, b"x")], [])
            await store.drop_uncommitted()
            assert await store.used_bytes() == 4 + len(LARGE)
            assert await store.read("main/0/1/stdout") == b"kept"
            assert await store.read("main/1/1/stdout") == LARGE
            for key in ("main/0/2/stdout", "main/2/1/stdout", "main/12/1/stdout"):
                with pytest.raises(KeyError):
                    await store.read(key)
            await store.write([output(2, b"other bytes")], [commit(2)])
        assert len(list((tmp_path / "files").glob("*/*"))) == 1

    asyncio.run(check())


def test_uploaded_files_belong_to_no_attempt_and_stay(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([NewObject(file_key("ab" * 32), LARGE), output(0, b"x")], [])
            await store.drop_uncommitted()
            assert await store.read(file_key("ab" * 32)) == LARGE
            assert await store.used_bytes() == len(LARGE)

    asyncio.run(check())
