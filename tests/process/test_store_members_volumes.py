"""What becomes of the bytes: a volume outlives its server and belongs to one lease; a Memory store leaves nothing."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tasklet_runner.client.stores import StoreClient, StoreConnections
from tasklet_runner.wire.errors import RefusedError, StoreFencedError, UnreachableError
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tests.support.members import MemberRig
from tests.support.store_members import held_store, store_arguments, store_member
from tests.support.stores import MEBIBYTE

BYTES = bytes(range(251)) * 12_000


def kill(rig: MemberRig) -> None:
    assert rig.process is not None
    rig.process.kill()
    rig.process.wait(20)
    Path(rig.endpoint.removeprefix("unix://")).unlink(missing_ok=True)


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.unhappy("SIGKILL of the server of a volume")
def test_a_successor_on_the_same_volume_has_the_objects_and_fences_the_older_epoch(tmp_path: Path) -> None:
    (tmp_path / "late").write_bytes(b"late")

    async def story() -> None:
        async with held_store(tmp_path, "Block") as first:
            await first.store.put("large", BYTES)
            await first.store.put("small", b"small")
            older = first.capability()
            kill(first.rig)
            async with store_member(tmp_path, "Block", after=first.rig) as (rig, client):
                state = await rig.ready(client)
                assert (state.epoch, state.lease_uid, state.kept_lease_uid) == (1, "", "lease-1")
                with pytest.raises(RefusedError, match="epoch 1"):
                    await client.bind(rig.signed(rig.bind(state, epoch=1)))
                state = await rig.claimed(client)
                assert state.epoch == 2
                with pytest.raises(RefusedError) as caught:
                    await client.renew(older)
                assert caught.value.reason == "Fenced"
                newer = rig.signed(rig.capability(state))
                async with StoreClient(rig.endpoint, newer, rig.holder) as store:
                    assert [info.key async for info in store.list_objects()] == ["large", "small"]
                    assert await store.get("large") == BYTES
                await fenced(rig)

    async def fenced(rig: MemberRig) -> None:
        until = rig.issued_at + 60
        grant = PutGrant(store="lease-1", term=1, key_prefix="a", max_bytes=9, expires_at=until)
        async with StoreConnections() as stores:
            with pytest.raises(StoreFencedError, match="of term 1, the store is at term 2"):
                await stores.put_object(rig.endpoint, sign(grant, rig.holder), "a/late", tmp_path / "late")

    asyncio.run(story())


@pytest.mark.unhappy("whoever has a session or a grant of a killed server asks the next one, at the same address")
def test_a_successor_at_the_same_address_never_says_that_a_lease_has_ended_which_it_does_not_know(
    tmp_path: Path,
) -> None:
    (tmp_path / "late").write_bytes(b"late")

    async def story() -> None:
        async with held_store(tmp_path, "Block") as first:
            await first.store.put("kept", b"kept")
            until = first.rig.issued_at + 60
            grant = PutGrant(store="lease-1", term=1, key_prefix="a", max_bytes=9, expires_at=until)
            kill(first.rig)
            async with store_member(tmp_path, "Block", after=first.rig) as (rig, client), StoreConnections() as stores:
                await rig.ready(client)
                with pytest.raises(UnreachableError, match="incarnation"):
                    await first.store.get("kept")
                with pytest.raises(RefusedError) as caught:
                    await stores.put_object(rig.endpoint, sign(grant, rig.holder), "a/late", tmp_path / "late")
                assert caught.value.reason == "NotReady"
                await rig.claimed(client)
                with pytest.raises(UnreachableError, match="incarnation"):
                    await first.store.get("kept")

    asyncio.run(story())


@pytest.mark.unhappy("a bind for another lease on a volume that is used")
def test_a_volume_with_objects_is_never_given_to_a_second_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Block") as first:
            await first.store.put("secret", b"of the first lease")
            with pytest.raises(RefusedError) as caught:
                await first.member.bind(first.rig.signed(first.rig.bind(first.state, lease_uid="lease-2")))
            assert caught.value.reason == "Conflict"
            await first.member.release(first.capability())
            assert first.rig.process is not None
            await asyncio.to_thread(first.rig.process.wait, 20)
            async with store_member(tmp_path, "Block") as (rig, client):
                state = await rig.ready(client)
                with pytest.raises(RefusedError, match="objects of another lease") as caught:
                    await client.bind(rig.signed(rig.bind(state, lease_uid="lease-2")))
                assert caught.value.reason == "Conflict"
                assert "lease-1" not in str(caught.value)
                assert (await client.state()).state is MemberState.READY
                assert (await rig.claimed(client)).epoch == 2

    asyncio.run(story())


def test_a_volume_whose_first_bind_never_stood_may_go_to_another_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with store_member(tmp_path, "Block") as (rig, client):
            await client.bind(rig.signed(rig.bind(await rig.ready(client))))
            kill(rig)
        async with store_member(tmp_path, "Block") as (rig, client):
            state = await rig.ready(client)
            assert state.epoch == 1
            await client.bind(rig.signed(rig.bind(state, lease_uid="lease-2")))
            assert (await client.state()).kept_lease_uid == "lease-2"

    asyncio.run(story())


@pytest.mark.unhappy("the deadline of a block lease passes")
def test_at_its_deadline_a_block_member_stops_serving_and_erases_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Block", seconds=2) as held:
            await held.store.put("large", BYTES)
            assert held.rig.process is not None
            assert await asyncio.to_thread(held.rig.process.wait, 20) == 0
        async with store_member(tmp_path, "Block") as (rig, client):
            state = await rig.claimed(client)
            async with StoreClient(rig.endpoint, rig.signed(rig.capability(state)), rig.holder) as store:
                assert await store.get("large") == BYTES

    asyncio.run(story())


@pytest.mark.unhappy("a second server for a volume")
def test_a_second_server_of_a_volume_is_refused_in_words(tmp_path: Path) -> None:
    other = MemberRig(tmp_path / "other", store_arguments(tmp_path, "Block"))
    other.root.mkdir()

    async def story() -> None:
        async with held_store(tmp_path, "Block") as held:
            await held.store.put("key", b"value")
            try:
                second = other.start()
                assert await asyncio.to_thread(second.wait, 20) == 4
                assert second.stderr is not None
                words = second.stderr.read().decode()
                assert held.rig.process is not None
                assert f"is in use by process {held.rig.process.pid}" in words
                assert len(words.splitlines()) == 1
            finally:
                other.stop()
            assert await held.store.get("key") == b"value"

    asyncio.run(story())


@pytest.mark.unhappy("a second server for the directory of a memory store")
def test_a_memory_store_is_not_wiped_by_a_second_server(tmp_path: Path) -> None:
    other = MemberRig(tmp_path / "other", store_arguments(tmp_path, "Memory"))
    other.root.mkdir()

    async def story() -> None:
        async with held_store(tmp_path, "Memory") as held:
            await held.store.put("large", BYTES)
            try:
                assert await asyncio.to_thread(other.start().wait, 20) == 4
            finally:
                other.stop()
            assert await held.store.get("large") == BYTES

    asyncio.run(story())


def test_a_memory_member_leaves_nothing_and_starts_from_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Memory") as held:
            await held.store.put("large", BYTES)
            await held.store.put("small", b"small")
            kill(held.rig)
        assert files_below(tmp_path / "volume")
        async with held_store(tmp_path, "Memory") as held:
            assert (held.state.epoch, held.state.kept_lease_uid) == (1, "")
            assert [info async for info in held.store.list_objects()] == []
            await held.store.put("large", BYTES)
            await held.member.release(held.capability())
            assert held.rig.process is not None
            assert await asyncio.to_thread(held.rig.process.wait, 20) == 0
        assert files_below(tmp_path / "volume") == []

    asyncio.run(story())


@pytest.mark.unhappy("a member that is told to end while its store is held")
def test_a_block_member_that_is_told_to_end_keeps_the_objects(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Block") as held:
            await held.store.put("large", BYTES)
            assert held.rig.process is not None
            held.rig.process.terminate()
            assert await asyncio.to_thread(held.rig.process.wait, 20) == 0
        async with store_member(tmp_path, "Block") as (rig, client):
            assert (await rig.ready(client)).kept_lease_uid == "lease-1"

    asyncio.run(story())


def test_memory_stays_flat_while_a_large_object_comes_and_goes(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(256 * MEBIBYTE)

    async def story() -> None:
        async with held_store(tmp_path, "Block", quota=512 * MEBIBYTE) as held:
            assert held.rig.process is not None
            process = psutil.Process(held.rig.process.pid)
            before = process.memory_info().rss
            await held.store.put("large", large)
            assert (await held.store.get_file("large", tmp_path / "back")).size == 256 * MEBIBYTE
            assert process.memory_info().rss - before < 64 * MEBIBYTE

    asyncio.run(story())


def test_a_store_member_does_not_load_the_sandbox() -> None:
    words = "import sys, tasklet_runner.__main__, tasklet_runner.member.storing; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    assert "tasklet_runner.member.store_door" in loaded
    assert "wasmtime" not in loaded
    assert "tasklet_runner.sandbox.engine" not in loaded


@pytest.mark.unhappy("a store member that is not told where its objects go")
def test_a_store_member_needs_a_directory_and_a_quota(tmp_path: Path) -> None:
    rig = MemberRig(tmp_path, ("--role", "Block", "--quota", "5"))
    try:
        process = rig.start()
        assert process.wait(20) == 2
        assert process.stderr is not None
        assert "a member of role Block needs --store and --quota" in process.stderr.read().decode()
    finally:
        rig.stop()
