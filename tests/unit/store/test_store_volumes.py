"""A volume's store: whose it is and at which term, durable and only upwards; its objects in pages."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.prefixes import successor
from tasklet_runner.store.protocol import NewObject
from tasklet_runner.wire.errors import RefusedError, StateDirectoryError, StoreError, StoreFencedError
from tests.support.stores import MEBIBYTE, opened, pieces


def volume(directory: Path) -> DiskStore:
    return DiskStore.open_volume(StoreName("m0", directory, MEBIBYTE, enlarge="lease a larger one"))


def test_owner_and_term_are_there_again_after_the_process(tmp_path: Path) -> None:
    first = volume(tmp_path)
    assert (first.owner, first.term, first.empty) == ("", 0, True)
    first.take("lease-1", 3)
    asyncio.run(first.write([NewObject("key", b"value")], []))
    asyncio.run(first.close())
    second = volume(tmp_path)
    assert (second.owner, second.term, second.empty) == ("lease-1", 3, False)
    asyncio.run(second.close())


@pytest.mark.unhappy("a term that is over")
def test_a_term_does_not_go_back(tmp_path: Path) -> None:
    store = volume(tmp_path)
    store.take("lease-1", 3)
    with pytest.raises(StoreFencedError):
        store.take("lease-1", 2)
    assert store.term == 3
    asyncio.run(store.close())


@pytest.mark.unhappy("a second process on a volume")
def test_a_volume_is_open_once(tmp_path: Path) -> None:
    store = volume(tmp_path)
    with pytest.raises(StateDirectoryError, match="is in use by process"):
        volume(tmp_path)
    asyncio.run(store.close())


@pytest.mark.unhappy("a full volume")
def test_a_full_volume_says_what_its_own_user_can_do(tmp_path: Path) -> None:
    store = volume(tmp_path)
    with pytest.raises(StoreError, match="lease a larger one; or write less"):
        store.require_room(MEBIBYTE + 1)
    store.require_room(MEBIBYTE)
    asyncio.run(store.close())


def test_pages_hold_what_begins_with_the_prefix_in_the_order_of_utf_8_bytes(tmp_path: Path) -> None:
    keys = ["a", "a/1", "a/2", "a/\U0010ffff", "a0", "ä", "\ud7ff", "\ue000", "\U0001f600"]

    async def check() -> None:
        async with opened(tmp_path) as store:
            await store.write([NewObject(key, key.encode()) for key in reversed(keys)], [])
            assert [info.key for info in store.page("", "", 99)] == sorted(keys)
            assert [info.key for info in store.page("a/", "", 99)] == ["a/1", "a/2", "a/\U0010ffff"]
            assert [info.key for info in store.page("a/", "a/1", 1)] == ["a/2"]
            assert [info.key for info in store.page("\U0010ffff", "", 99)] == []
            (only,) = store.page("ä", "", 99)
            assert (only.size, only.digest) == (2, hashlib.sha256("ä".encode()).hexdigest())

    asyncio.run(check())


@given(st.text(max_size=4), st.text(max_size=8))
def test_a_text_stands_before_the_successor_of_its_prefix(prefix: str, text: str) -> None:
    end = successor(prefix)
    if end is not None:
        end.encode()
    assert text.startswith(prefix) == (text >= prefix and (end is None or text < end))


@pytest.mark.unhappy("an object whose bytes change on their way")
def test_bytes_of_another_digest_leave_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as store:
            with pytest.raises(RefusedError) as caught:
                await store.receive("key", pieces(b"x" * 2 * MEBIBYTE), 9 * MEBIBYTE, digest=lambda: "00" * 32)
            assert caught.value.reason == "DigestMismatch"
            assert (store.empty, await store.used_bytes()) == (True, 0)
            assert list((tmp_path / "files").glob("*/*")) == []
            digest = hashlib.sha256(b"right").hexdigest()
            assert (await store.receive("key", pieces(b"right"), 9, digest=digest.upper)).size == 5

    asyncio.run(check())
