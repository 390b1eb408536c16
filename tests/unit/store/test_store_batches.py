"""Batches over a real socket, under a grant: all of it is there, or nothing is."""

import asyncio
import hashlib
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tasklet_runner.client.stores import StoreConnections
from tasklet_runner.store.server import StoreServer
from tasklet_runner.wire.batches import ObjectHead, framed
from tasklet_runner.wire.errors import (
    InputError,
    LeaseGridError,
    ObjectConflictError,
    RefusedError,
    StoreError,
    StoreFencedError,
    UnreachableError,
)
from tasklet_runner.wire.member import ErrorReply
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tests.support.granted_calls import get_batch_to_file, put_batch
from tests.support.served_stores import KEY, NOW, served
from tests.support.stores import MEBIBYTE, files_below, pieces

PUT = PutGrant(store="store-1", term=1, key_prefix="map/7/1", max_bytes=32 * MEBIBYTE, expires_at=NOW + 60)
GET = GetGrant(store="store-1", term=1, key_prefix="map", expires_at=NOW + 60)
SIZES = (0, 1, 4096, 4097, 100_000, MEBIBYTE, 3 * MEBIBYTE + 7, 5, 0)
PARTS = {f"map/7/1/part-{number}": bytes([number + 1]) * size for number, size in enumerate(SIZES)}


def put_grant(**changes: object) -> str:
    return sign(msgspec.structs.replace(PUT, **changes), KEY)


def get_grant(**changes: object) -> str:
    return sign(msgspec.structs.replace(GET, **changes), KEY)


def objects_of(parts: dict[str, bytes]) -> list[tuple[str, bytes | Path]]:
    return list(parts.items())


async def put_by_hand(server: StoreServer, body: bytes, grant: str = "") -> ErrorReply:
    connector = aiohttp.UnixConnector(path=server.endpoint.removeprefix("unix://"))
    headers = {"X-Leasegrid-Grant": grant or put_grant()}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://store/v1/batch", data=body, headers=headers) as response,
    ):
        return msgspec.json.decode(await response.read(), type=ErrorReply)


def test_objects_of_any_size_go_in_and_come_out_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            for _ in range(2):
                told = await stores.put_batch(server.endpoint, put_grant(), objects_of(PARTS))
                assert [(info.key, info.size) for info in told] == [(key, len(data)) for key, data in PARTS.items()]
            assert [await store.read(key) for key in PARTS] == list(PARTS.values())
            assert await store.used_bytes() == sum(SIZES)
            asked = [*reversed(PARTS), "map/7/1/part-4"]
            size = await stores.get_batch_to_file(server.endpoint, get_grant(), asked, tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == b"".join(PARTS[key] for key in asked)
            assert size == sum(SIZES) + SIZES[4]
        assert len(list((tmp_path / "store" / "files").glob("*/*"))) == 1
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    asyncio.run(check())


def test_what_came_in_a_batch_may_come_again_alone_and_the_other_way_round(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (store, server):
            for first, data in (("a", b"small"), ("b", b"l" * 50_000), ("c", b"x" * (2 * MEBIBYTE + 1))):
                keys = [f"map/7/1/{first}-alone", f"map/7/1/{first}-batch"]
                await store.receive(keys[0], pieces(data), 4 * MEBIBYTE)
                await put_batch(server.endpoint, put_grant(), [(keys[1], data)])
                await put_batch(server.endpoint, put_grant(), [(keys[0], data)])
                await store.receive(keys[1], pieces(data), 4 * MEBIBYTE, hashlib.sha256(data).hexdigest)
                with pytest.raises(ObjectConflictError, match="with other bytes"):
                    await store.receive(keys[1], pieces(data[:-1] + b"-"), 4 * MEBIBYTE)
                with pytest.raises(RefusedError, match="with other bytes"):
                    await put_batch(server.endpoint, put_grant(), [(keys[0], data[:-1] + b"-")])
                assert [await store.read(key) for key in keys] == [data, data]
                await get_batch_to_file(server.endpoint, get_grant(), keys, tmp_path / "got")
                assert (tmp_path / "got").read_bytes() == data + data

    asyncio.run(check())


def test_files_and_bytes_go_into_one_batch_and_stand_there_after_reopening(tmp_path: Path) -> None:
    (tmp_path / "held").write_bytes(b"h" * (2 * MEBIBYTE + 5))

    async def check() -> None:
        objects: list[tuple[str, bytes | Path]] = [("map/7/1/held", tmp_path / "held"), ("map/7/1/part-1", b"little")]
        async with served(tmp_path) as (_, server):
            await put_batch(server.endpoint, put_grant(), objects)
        async with served(tmp_path) as (store, server):
            assert await store.read("map/7/1/held", 2 * MEBIBYTE, 100) == b"hhhhh"
            keys = [key for key, _ in objects]
            assert await get_batch_to_file(server.endpoint, get_grant(), keys, tmp_path / "got") == 2 * MEBIBYTE + 11

    asyncio.run(check())


def test_an_empty_batch_and_nothing_asked_for_are_no_errors(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            assert await put_batch(server.endpoint, put_grant(), []) == ()
            assert await get_batch_to_file(server.endpoint, get_grant(), [], tmp_path / "got") == 0
            assert (tmp_path / "got").read_bytes() == b""

    asyncio.run(check())


@pytest.mark.parametrize("name", ["ünï/😀", "a/../../b", "//x", 'line\n"\\', "\x01" * 680, "x" * 4080], ids=ascii)
def test_odd_keys_are_only_keys(name: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            key = f"map/7/1/{name}"
            await put_batch(server.endpoint, put_grant(), [(key, b"odd"), (key + "+", b"l" * 5000)])
            await get_batch_to_file(server.endpoint, get_grant(), [key + "+", key], tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == b"l" * 5000 + b"odd"

    asyncio.run(check())


def frame(key: str, data: bytes, **changes: object) -> bytes:
    return framed(msgspec.structs.replace(ObjectHead(key, len(data)), **changes)) + data


FIRST = frame("map/7/1/first", b"f" * 50_000)


@pytest.mark.unhappy("a batch that is cut off, unreadable, not allowed, or not what it says")
@pytest.mark.parametrize(
    ("body", "grant", "code", "words"),
    [
        pytest.param(FIRST[:-1], {}, "BadRequest", "in the middle", id="cut off in the middle of its bytes"),
        pytest.param(FIRST + FIRST[:20], {}, "BadRequest", "in the middle", id="cut off in the middle of a header"),
        pytest.param(FIRST + b"\xff" * 9, {}, "BadRequest", "header of", id="a header without an end"),
        pytest.param(FIRST + b"\0\0\0\2{]", {}, "BadRequest", "cannot be read", id="a header that is no JSON"),
        pytest.param(FIRST + FIRST, {}, "BadRequest", "'map/7/1/first' stands twice", id="a key twice"),
        pytest.param(FIRST + frame("", b"x"), {}, "BadRequest", "names no object", id="an empty key"),
        pytest.param(FIRST + frame("map/7/1/" + "x" * 4090, b""), {}, "BadRequest", "names no", id="a key too long"),
        pytest.param(FIRST + frame("map/7/1/b", b"", size=-1), {}, "BadRequest", "-1 bytes", id="a negative size"),
        pytest.param(FIRST + frame("map/7/2/b", b"x"), {}, "NotGranted", "map/7/2/b", id="another attempt's key"),
        pytest.param(FIRST, {"key_prefix": ""}, "NotGranted", "empty prefix", id="a grant that covers nothing"),
        pytest.param(FIRST, {"store": "store-2"}, "NotGranted", "store-2", id="a grant for another store"),
        pytest.param(FIRST, {"expires_at": NOW}, "LeaseExpired", "expired", id="a grant whose time is over"),
        pytest.param(FIRST, {"term": 0}, "Fenced", "of term 0", id="a writer of a lower term"),
        pytest.param(FIRST, {"term": 2}, "Fenced", "of term 2", id="a writer of a term that has not come"),
        pytest.param(FIRST, {"max_bytes": 49_999}, "TooLarge", "49,999 are granted", id="more bytes than granted"),
        pytest.param(
            FIRST + frame("map/7/1/b", b"x" * 9000, digest="0" * 64),
            {},
            "DigestMismatch",
            "map/7/1/b",
            id="other bytes",
        ),
    ],
)
def test_nothing_of_a_bad_batch_is_kept(
    body: bytes, grant: dict[str, object], code: str, words: str, tmp_path: Path
) -> None:
    async def check() -> None:
        async with served(tmp_path) as (store, server):
            refused = await put_by_hand(server, body, put_grant(**grant))
            assert refused.code == code
            assert words in refused.cause
            assert refused.remedy
            assert await store.used_bytes() == 0
            assert store.page("", "", 10) == []
            assert store.room == store.quota_bytes
            await put_batch(server.endpoint, put_grant(), [("map/7/1/first", b"good")])
        assert not [name for name in files_below(tmp_path / "store") if "/" in name]

    asyncio.run(check())


@pytest.mark.unhappy("a store that is full, or would be")
def test_a_batch_that_does_not_fit_is_refused_whole_and_says_how_full_the_store_is(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path, quota_bytes=10 * MEBIBYTE) as (store, server), StoreConnections() as stores:
            await stores.put_batch(server.endpoint, put_grant(), [("map/7/1/a", b"x" * 7 * MEBIBYTE)])
            two: list[tuple[str, bytes | Path]] = [(f"map/7/1/{name}", b"x" * 2 * MEBIBYTE) for name in "bc"]
            with pytest.raises(
                StoreError, match=r"store-1 in .* is full: 7,340,032 of 10,485,760 .*enlarge it"
            ) as full:
                await stores.put_batch(server.endpoint, put_grant(), two)
            assert "4,194,304 more are wanted" in str(full.value)
            assert [info.key for info in store.page("", "", 10)] == ["map/7/1/a"]
            await stores.put_batch(server.endpoint, put_grant(), [("map/7/1/a", b"x" * 7 * MEBIBYTE)])
            await stores.put_batch(server.endpoint, put_grant(), [("map/7/1/d", b"x" * 3 * MEBIBYTE)])
            assert store.room == 0

    asyncio.run(check())


@pytest.mark.unhappy("many writers at a nearly full store")
def test_batches_side_by_side_keep_the_quota_to_the_byte(tmp_path: Path) -> None:
    async def put(server: StoreServer, stores: StoreConnections, number: int) -> bool:
        objects: list[tuple[str, bytes | Path]] = [(f"map/7/1/{number}/{part}", b"x" * 20_000) for part in range(10)]
        try:
            await stores.put_batch(server.endpoint, put_grant(), objects)
        except StoreError:
            return False
        return True

    async def check() -> None:
        async with served(tmp_path, quota_bytes=2_000_000) as (store, server), StoreConnections() as stores:
            fitted = sum(await asyncio.gather(*(put(server, stores, number) for number in range(20))))
            assert fitted <= 10
            # What was refused beside others that did not come to their end either fits now.
            for number in range(fitted, 10):
                assert await put(server, stores, 100 + number)
            assert not await put(server, stores, 200)
            assert (await store.used_bytes(), store.room) == (2_000_000, 0)
            assert len(store.page("", "", 1000)) == 100

    asyncio.run(check())


@pytest.mark.unhappy("an object of a batch that is there with other bytes")
def test_other_bytes_under_a_key_refuse_the_batch_and_the_first_stay(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (store, server):
            await put_batch(server.endpoint, put_grant(), [("map/7/1/a", b"first" * 2000)])
            with pytest.raises(RefusedError, match="'map/7/1/a' is there with other bytes") as caught:
                await put_batch(server.endpoint, put_grant(), [("map/7/1/b", b"b" * 9000), ("map/7/1/a", b"other")])
            assert caught.value.reason == "Conflict"
            refused = await put_by_hand(server, frame("map/7/1/c", b"c" * 9000) + frame("map/7/1/a", b"other"))
            assert refused.code == "Conflict"
            assert await store.used_bytes() == 10_000
        assert len(list((tmp_path / "store" / "files").glob("*/*"))) == 1

    asyncio.run(check())


def test_a_grant_bounds_all_batches_of_an_attempt_together(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            grant = put_grant(max_bytes=100)
            for _ in range(2):
                await put_batch(server.endpoint, grant, [("map/7/1/a", b"x" * 60), ("map/7/1/b", b"x" * 30)])
            with pytest.raises(RefusedError, match="110 bytes, 100 are granted"):
                await put_batch(server.endpoint, grant, [("map/7/1/c", b"x" * 20)])
            await put_batch(server.endpoint, grant, [("map/7/1/c", b"x" * 10), ("map/7/1/a", b"x" * 60)])

    asyncio.run(check())


@pytest.mark.unhappy("a reader without the right grant, or of what is not there")
@pytest.mark.parametrize(
    ("changes", "keys", "code"),
    [
        ({}, ["map/7/1/a", "map/7/1/none"], "NotFound"),
        ({"key_prefix": "map/8"}, ["map/7/1/a"], "NotGranted"),
        ({"key_prefix": "ma"}, ["map/7/1/a"], "NotGranted"),
        ({"key_prefix": ""}, ["map/7/1/a"], "NotGranted"),
        ({"store": "store-2"}, ["map/7/1/a"], "NotGranted"),
        ({"expires_at": NOW}, ["map/7/1/a"], "LeaseExpired"),
        ({"term": 0}, ["map/7/1/a"], "Fenced"),
    ],
)
def test_what_is_not_granted_or_not_there_is_not_read(
    changes: dict[str, object], keys: list[str], code: str, tmp_path: Path
) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            await put_batch(server.endpoint, put_grant(), [("map/7/1/a", b"secret")])
            with pytest.raises(LeaseGridError) as caught:
                await get_batch_to_file(server.endpoint, get_grant(**changes), keys, tmp_path / "got")
            reason = caught.value.reason if isinstance(caught.value, RefusedError) else caught.value.code
            assert reason == code
            assert not [path.name for path in tmp_path.iterdir() if "got" in path.name]

    asyncio.run(check())


@pytest.mark.unhappy("a put grant shown to read, a get grant shown to write")
def test_a_grant_is_for_one_direction(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            await put_batch(server.endpoint, put_grant(), [("map/7/1/a", b"secret")])
            with pytest.raises(RefusedError, match="GetGrant"):
                await get_batch_to_file(server.endpoint, put_grant(), ["map/7/1/a"], tmp_path / "got")
            with pytest.raises(RefusedError):
                await put_batch(server.endpoint, get_grant(), [("map/7/1/b", b"x")])
            with pytest.raises(StoreFencedError):
                await put_batch(server.endpoint, put_grant(term=0), [("map/7/1/b", b"x")])

    asyncio.run(check())


@pytest.mark.unhappy("a bit that has turned round in a segment")
def test_a_flipped_bit_is_found_and_the_object_is_named(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            objects: list[tuple[str, bytes | Path]] = [(f"map/7/1/{part}", b"x" * 100_000) for part in range(3)]
            await put_batch(server.endpoint, put_grant(), objects)
            (segment,) = (tmp_path / "store" / "files").glob("*/*")
            with segment.open("r+b") as file:
                file.seek(150_000)
                file.write(b"y")
            keys = [key for key, _ in objects]
            with pytest.raises(StoreError, match=r"'map/7/1/1'.*checksum differs"):
                await get_batch_to_file(server.endpoint, get_grant(), keys, tmp_path / "got")
            assert not (tmp_path / "got").exists()
            assert await get_batch_to_file(server.endpoint, get_grant(), keys[::2], tmp_path / "got") == 200_000

    asyncio.run(check())


@pytest.mark.unhappy("a file that cannot be read, a file that cannot be written, nobody there")
def test_what_fails_on_this_side_is_said_in_words(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (store, server), StoreConnections() as stores:
            with pytest.raises(InputError, match="no-such-file"):
                await stores.put_batch(server.endpoint, put_grant(), [("map/7/1/a", tmp_path / "no-such-file")])
            with pytest.raises(InputError, match="cannot read"):
                await stores.put_batch(
                    server.endpoint, put_grant(), [("map/7/1/b", b"x" * 2 * MEBIBYTE), ("map/7/1/a", tmp_path)]
                )
            assert await store.used_bytes() == 0
            with pytest.raises(InputError, match="cannot open"):
                await stores.get_batch_to_file(server.endpoint, get_grant(), [], tmp_path / "no" / "such" / "place")
            with pytest.raises(UnreachableError, match=r"none\.sock did not take 1 objects"):
                await stores.put_batch(f"unix://{tmp_path}/none.sock", put_grant(), [("map/7/1/a", b"")])

    asyncio.run(check())
