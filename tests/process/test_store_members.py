"""Memory and Block members as real processes: what their holder puts is there, and nobody else's word counts."""

import asyncio
import hashlib
import io
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tasklet_runner.client.stores import StoreClient
from tasklet_runner.wire.digests import checksum
from tasklet_runner.wire.errors import RefusedError, StoreError
from tasklet_runner.wire.member import ErrorReply, MemberState, Role
from tasklet_runner.wire.store import object_path
from tests.support.store_members import held_store, store_member
from tests.support.stores import MEBIBYTE

ROLES = pytest.mark.parametrize("role", ["Memory", "Block"])
BYTES = bytes(range(251)) * 12_000  # 3 MB: two whole blocks of the store and a part


@ROLES
def test_a_store_member_says_its_role_and_that_it_has_no_slots(role: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with store_member(tmp_path, role) as (rig, client):
            state = await rig.ready(client)
            assert (state.role, state.slots, state.tasklet_memory, state.cpu_features) == (Role(role), 0, 0, ())
            reply = await client.bind(rig.signed(rig.bind(state)))
            assert (reply.role, reply.slots, reply.epoch) == (Role(role), 0, 1)

    asyncio.run(story())


@ROLES
def test_what_is_put_is_there_whole_by_range_by_name_and_in_the_listing(role: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, role) as held:
            store = held.store
            for key, data in {"a/large": BYTES, "a/small": b"small", "a/none": b"", "b/ü ?#%2F/..": b"odd"}.items():
                info = await store.put(key, data)
                assert (info.size, info.digest) == (len(data), hashlib.sha256(data).hexdigest())
                assert await store.get(key) == data
                assert await store.head(key) == info == await store.put(key, data)
            assert await store.get("a/large", 1_048_570, 20) == BYTES[1_048_570:1_048_590]
            assert await store.get("a/large", len(BYTES) - 3, 99) == BYTES[-3:]
            assert await store.get("a/large", 2_000_000) == BYTES[2_000_000:]
            keys = [info.key async for info in store.list_objects("a/", page_objects=2)]
            assert keys == ["a/large", "a/none", "a/small"]
            assert len([info async for info in store.list_objects()]) == 4

    asyncio.run(story())


def test_files_go_in_and_come_out_whole(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BYTES)

    async def story() -> None:
        async with held_store(tmp_path) as held:
            info = await held.store.put("file", tmp_path / "in")
            assert info == await held.store.get_file("file", tmp_path / "out")

    asyncio.run(story())
    assert (tmp_path / "out").read_bytes() == BYTES


@pytest.mark.unhappy("an object that is not there, and a range that it does not have")
def test_what_is_not_there_is_refused_with_its_reason_and_leaves_no_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held:
            await held.store.put("five", b"12345")
            for attempt, reason in (
                (held.store.get("none"), "NotFound"),
                (held.store.head("none"), "NotFound"),
                (held.store.get_file("none", tmp_path / "out"), "NotFound"),
                (held.store.get("five", 5), "RangeNotSatisfiable"),
            ):
                with pytest.raises(RefusedError) as caught:
                    await attempt
                assert caught.value.reason == reason
            assert not [path for path in tmp_path.iterdir() if "out" in path.name]

    asyncio.run(story())


@pytest.mark.unhappy("other bytes under a key that is taken")
def test_an_object_is_written_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held:
            await held.store.put("key", b"first")
            with pytest.raises(RefusedError) as caught:
                await held.store.put("key", b"other")
            assert caught.value.reason == "Conflict"
            assert await held.store.get("key") == b"first"

    asyncio.run(story())


@pytest.mark.unhappy("an object whose bytes change on their way")
@pytest.mark.parametrize("data", [b"small", BYTES], ids=["a small object", "a large object"])
def test_bytes_that_are_not_those_that_were_announced_are_not_kept(data: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held:
            await held.store.put("first", b"opens the session")
            token = {"X-Leasegrid-Session": await held.store.calls.session.token(held.store.calls.connected())}
            announced = {"X-Leasegrid-Digest": hashlib.sha256(b"something else").hexdigest()}
            status, reply = await put(held.rig.endpoint, "key", data, token | announced)
            assert (status, reply.code) == (422, "DigestMismatch")
            with pytest.raises(RefusedError, match="there is no object"):
                await held.store.get("key")
            assert list((tmp_path / "volume" / "incoming").iterdir()) == []

    asyncio.run(story())


@pytest.mark.unhappy("an object whose bytes change on their way, and a digest that never comes")
@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(b"wrong" + checksum(b"right").hex().encode(), 422, "DigestMismatch", id="of others"),
        pytest.param(b"right" + b"\xff" * 32, 422, "DigestMismatch", id="no digits at all"),
        pytest.param(b"right", 400, "BadRequest", id="too few bytes to hold a digest"),
    ],
)
def test_a_digest_that_stands_behind_the_bytes_is_checked(data: bytes, status: int, code: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held:
            await held.store.put("first", b"opens the session")
            token = {"X-Leasegrid-Session": await held.store.calls.session.token(held.store.calls.connected())}
            found = await put(held.rig.endpoint, "key", data, token | {"X-Leasegrid-Digest": "after"})
            assert (found[0], found[1].code) == (status, code)
            assert [info.key async for info in held.store.list_objects("key")] == []

    asyncio.run(story())


def test_a_large_object_fits_exactly_into_what_is_left(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, quota=3 * MEBIBYTE) as held:
            assert (await held.store.put("whole", bytes(3 * MEBIBYTE))).size == 3 * MEBIBYTE

    asyncio.run(story())


@pytest.mark.unhappy("a store that is full")
def test_a_full_store_says_how_full_and_what_to_do_and_takes_the_same_object_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, quota=4 * MEBIBYTE) as held:
            await held.store.put("three", BYTES)
            for attempt in (held.store.put("more", BYTES[1:]), held.store.put("more", b"x" * 2 * MEBIBYTE)):
                with pytest.raises(StoreError, match=r"is full: .* lease from a pool with a larger storage\.size"):
                    await attempt
            assert (await held.store.put("three", BYTES)).size == len(BYTES)
            await held.store.put("little", b"fits")

    asyncio.run(story())


@pytest.mark.unhappy("a large object for a full store")
def test_a_large_object_that_does_not_fit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(256 * MEBIBYTE)

    async def story() -> None:
        async with held_store(tmp_path, quota=4 * MEBIBYTE) as held:
            with pytest.raises(StoreError, match="268,435,456 more are wanted"):
                await held.store.put("large", large)
            await held.store.put("little", b"fits")

    asyncio.run(story())


def test_more_sessions_than_a_member_keeps_do_not_lock_the_first_holder_out(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held:
            await held.store.put("key", b"first")
            held.store.calls.session._token = "a token that the member has forgotten"  # noqa: S105  # none that is real
            assert await held.store.get("key") == b"first"

    asyncio.run(story())


def test_two_clients_of_the_same_holder_see_the_same_objects(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            held_store(tmp_path) as held,
            StoreClient(held.rig.endpoint, held.capability(), held.rig.holder) as other,
        ):
            await asyncio.gather(*(held.store.put(f"key/{number}", b"%d" % number) for number in range(40)))
            assert len([info async for info in other.list_objects("key/")]) == 40

    asyncio.run(story())


def test_the_metrics_say_how_full_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held:
            await held.store.put("key", b"12345")
            connector = aiohttp.UnixConnector(path=held.rig.endpoint.removeprefix("unix://"))
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get("http://m/metrics") as response,
            ):
                words = await response.text()
            assert "leasegrid_store_used_bytes 5.0" in words
            assert "leasegrid_memory_leases_active 1.0" in words

    asyncio.run(story())


@ROLES
def test_a_released_store_member_ends_with_exit_code_0(role: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, role) as held:
            await held.store.put("key", BYTES)
            reply = await held.member.release(held.capability())
            assert (reply.scratch_bytes > len(BYTES)) is (role == "Memory")
            assert held.rig.process is not None
            assert await asyncio.to_thread(held.rig.process.wait, 20) == 0

    asyncio.run(story())
    left = [path for path in (tmp_path / "volume").rglob("*") if path.is_file()]
    assert bool(left) is (role == "Block")


def test_a_member_that_nobody_holds_can_be_retired(tmp_path: Path) -> None:
    async def story() -> None:
        async with store_member(tmp_path, "Block") as (rig, client):
            state = await rig.ready(client, MemberState.READY)
            await client.retire(rig.retire(state))
            assert rig.process is not None
            assert await asyncio.to_thread(rig.process.wait, 20) == 0

    asyncio.run(story())


async def put(endpoint: str, key: str, data: bytes, headers: dict[str, str]) -> tuple[int, ErrorReply]:
    """A put by hand."""
    connector = aiohttp.UnixConnector(path=endpoint.removeprefix("unix://"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.put(f"http://m{object_path(key)}", data=io.BytesIO(data), headers=headers) as response,
    ):
        return response.status, msgspec.json.decode(await response.read(), type=ErrorReply)
