"""Members put large outputs over a real socket, under a grant; everything else is refused in words."""

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.store.server import serve
from tasklet_runner.wire.errors import (
    InputError,
    RefusedError,
    StateDirectoryError,
    StoreError,
    StoreFencedError,
    UnreachableError,
)
from tasklet_runner.wire.member import ErrorReply
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant, Retire
from tests.support.granted_calls import put_object
from tests.support.served_stores import KEY, NOW, served
from tests.support.stores import MEBIBYTE, opened

GRANT = PutGrant(store="store-1", term=1, key_prefix="main/7/1", max_bytes=8 * MEBIBYTE, expires_at=NOW + 60)
OBJECT = "main/7/1/stdout"


def file_of(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "held"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [0, 10, 65_536, 65_537, MEBIBYTE, 3 * MEBIBYTE + 1])
def test_an_object_of_any_size_arrives_byte_for_byte_and_may_be_put_again(size: int, tmp_path: Path) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    path = file_of(tmp_path, data[:size])

    async def check() -> None:
        async with served(tmp_path) as (store, server):
            assert store.endpoint == server.endpoint == f"unix://{tmp_path}/store.sock"
            for _ in range(2):
                info = await put_object(server.endpoint, sign(GRANT, KEY), OBJECT, path)
                assert info == await store.stat(OBJECT)
            assert await store.read(OBJECT) == data[:size]
            assert await store.used_bytes() == size

    asyncio.run(check())


@pytest.mark.parametrize("name", ["a/../../etc", "..", "päth/😀 ?#%2F", "//x"], ids=ascii)
def test_odd_names_arrive_as_they_are(name: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (store, server):
            await put_object(server.endpoint, sign(GRANT, KEY), f"main/7/1/out/{name}", file_of(tmp_path, b"odd"))
            assert await store.read(f"main/7/1/out/{name}") == b"odd"

    asyncio.run(check())


def _changed(**changes: object) -> str:
    return sign(msgspec.structs.replace(GRANT, **changes), KEY)


@pytest.mark.parametrize(
    ("grant", "key", "reason"),
    [
        pytest.param(_changed(expires_at=NOW), OBJECT, "LeaseExpired", id="a grant whose time is over"),
        pytest.param(_changed(store="store-2"), OBJECT, "NotGranted", id="a grant for another store"),
        pytest.param(_changed(), "main/7/2/stdout", "NotGranted", id="another attempt"),
        pytest.param(_changed(), "main/7/10/stdout", "NotGranted", id="an attempt whose number begins alike"),
        pytest.param(_changed(key_prefix=""), OBJECT, "NotGranted", id="an empty prefix grants nothing"),
        pytest.param(_changed(max_bytes=5), OBJECT, "TooLarge", id="more bytes than granted"),
        pytest.param(sign(GRANT, Ed25519PrivateKey.generate()), OBJECT, "BadSignature", id="a forged grant"),
        pytest.param("", OBJECT, "BadSignature", id="no grant"),
        pytest.param(
            sign(Retire(member="m", incarnation="i", epoch=1), KEY), OBJECT, "BadSignature", id="another statement"
        ),
        pytest.param(_changed(), "main/7/1/" + "x" * 4096, "BadRequest", id="a key that is too long"),
    ],
)
def test_what_no_grant_covers_is_refused(grant: str, key: str, reason: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (store, server):
            with pytest.raises(RefusedError) as caught:
                await put_object(server.endpoint, grant, key, file_of(tmp_path, b"x" * 200_000))
            assert caught.value.reason == reason
            assert await store.used_bytes() == 0

    asyncio.run(check())


@pytest.mark.parametrize("term", [0, 2])
def test_a_grant_of_another_term_is_fenced(term: int, tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            with pytest.raises(StoreFencedError, match=f"of term {term}, the store is at term 1"):
                await put_object(server.endpoint, _changed(term=term), OBJECT, file_of(tmp_path, b"x"))

    asyncio.run(check())


def test_a_grant_bounds_all_objects_of_an_attempt_together(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            path = file_of(tmp_path, b"x" * 60)
            grant = _changed(max_bytes=100)
            await put_object(server.endpoint, grant, "main/7/1/out/a", path)
            await put_object(server.endpoint, grant, "main/7/1/out/a", path)
            with pytest.raises(RefusedError, match="40 are granted"):
                await put_object(server.endpoint, grant, "main/7/1/out/b", path)

    asyncio.run(check())


def test_other_bytes_under_a_key_are_a_conflict_and_a_full_store_says_how_to_enlarge_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path, quota_bytes=MEBIBYTE) as (store, server):
            grant = sign(GRANT, KEY)
            await put_object(server.endpoint, grant, OBJECT, file_of(tmp_path, b"first"))
            with pytest.raises(RefusedError) as caught:
                await put_object(server.endpoint, grant, OBJECT, file_of(tmp_path, b"other"))
            assert caught.value.reason == "Conflict"
            with pytest.raises(StoreError, match=r"spec\.output\.size"):
                await put_object(server.endpoint, grant, "main/7/1/out/x", file_of(tmp_path, b"x" * 6 * MEBIBYTE))
            assert await store.used_bytes() == 5
            assert await store.read(OBJECT) == b"first"

    asyncio.run(check())


def test_a_cut_upload_leaves_nothing(tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 2 * MEBIBYTE
        raise ConnectionAbortedError

    async def check() -> None:
        async with served(tmp_path) as (store, server):
            connector = aiohttp.UnixConnector(path=server.endpoint.removeprefix("unix://"))
            async with aiohttp.ClientSession(connector=connector) as session:
                with pytest.raises(aiohttp.ClientError):
                    await session.put(
                        "http://store/v1/objects/main%2F7%2F1%2Fstdout",
                        data=cut(),
                        headers={"X-Leasegrid-Grant": sign(GRANT, KEY)},
                    )
            await asyncio.sleep(0.1)
            assert await store.used_bytes() == 0
            assert list((tmp_path / "store" / "incoming").iterdir()) == []
            await put_object(server.endpoint, sign(GRANT, KEY), OBJECT, file_of(tmp_path, b"again"))

    asyncio.run(check())


def test_a_refusal_is_an_error_reply(tmp_path: Path) -> None:
    async def check() -> None:
        async with served(tmp_path) as (_, server):
            connector = aiohttp.UnixConnector(path=server.endpoint.removeprefix("unix://"))
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.put("http://store/v1/objects/x", data=b"", headers={"X-Leasegrid-Grant": "no"}) as response,
            ):
                reply = msgspec.json.decode(await response.read(), type=ErrorReply)
                assert (response.status, reply.code) == (401, "BadSignature")

    asyncio.run(check())


def test_nobody_there_is_unreachable_and_an_unreadable_file_is_an_input_error(tmp_path: Path) -> None:
    async def check() -> None:
        with pytest.raises(UnreachableError):
            await put_object(f"unix://{tmp_path}/none.sock", "", OBJECT, file_of(tmp_path, b"x"))
        with pytest.raises(InputError, match="no-such-file"):
            await put_object(f"unix://{tmp_path}/none.sock", "", OBJECT, tmp_path / "no-such-file")

    asyncio.run(check())


def test_a_socket_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path / "store") as store:
            with pytest.raises(StateDirectoryError, match="107 bytes"):
                await serve(store, tmp_path / ("x" * 120), KEY.public_key())

    asyncio.run(check())


def test_memory_stays_flat_while_a_large_object_arrives(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(150 * MEBIBYTE)

    async def check() -> None:
        async with served(tmp_path, quota_bytes=1024 * MEBIBYTE) as (store, server):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await put_object(server.endpoint, _changed(max_bytes=1024 * MEBIBYTE), OBJECT, path)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024
            assert (await store.stat(OBJECT)).size == 150 * MEBIBYTE

    asyncio.run(check())
