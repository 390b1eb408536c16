"""Compiled code between members, blobs, and outputs that are too large for a frame."""

import asyncio
import hashlib
import os
import socket
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.store.server import serve
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Language, Mount, Program, Task
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tasklet_runner.wire.work import (
    BLOB_PIECE_BYTES,
    CODE_KEY_INFO,
    Blob,
    CodeKey,
    Grant,
    Prepare,
    Prepared,
    PrepareFailed,
    Refused,
    Results,
    Run,
    Stored,
)
from tests.support import wat
from tests.support.members import expect, leased, prepare, run, send_blob
from tests.support.stores import opened


async def give_key(connection: WorkConnection, key: bytes) -> None:
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    public = X25519PublicKey.from_public_bytes(connection.hello.sealing_key)
    await connection.send(CodeKey(suite.encrypt(key, public, CODE_KEY_INFO)))


async def prepare_with(connection: WorkConnection, module: bytes, code: bytes) -> Prepared:
    source, digest = await send_blob(connection, module), hashlib.sha256(code).hexdigest()
    for offset in range(0, len(code), BLOB_PIECE_BYTES):
        await connection.send(Blob(digest, len(code), offset, code[offset : offset + BLOB_PIECE_BYTES]))
    await connection.send(Prepare(0, Program(name="t", language=Language.WASM, source=source), code=digest))
    answer = await expect(connection, Prepared)
    assert isinstance(answer, Prepared)
    return answer


@pytest.mark.smoke
def test_a_module_is_compiled_by_one_member_and_run_by_another(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        key, module = os.urandom(32), wat.echo()
        async with leased(tmp_path / "a") as (_, _a, first), leased(tmp_path / "b") as (_, _b, second):
            await give_key(first, key)
            source = await send_blob(first, module)
            await first.send(Prepare(0, Program(name="t", language=Language.WASM, source=source), share=True))
            code = await expect(first, Blob)
            assert isinstance(code, Blob)
            assert code.size == len(code.data)
            answer = await expect(first, Prepared)
            assert isinstance(answer, Prepared)
            assert answer.code == code.digest == hashlib.sha256(code.data).hexdigest()
            assert answer.compile_milliseconds > 0
            await give_key(second, key)
            assert (await prepare_with(second, module, code.data)).compile_milliseconds == 0
            results, _missing = await run(second, 1)
            assert results[0].outcome.stdout == b"input 0\n"

    asyncio.run(story())


@pytest.mark.unhappy("compiled code of another engine, key or hand")
def test_code_that_does_not_open_is_compiled_anew(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            await give_key(connection, os.urandom(32))
            answer = await prepare_with(connection, wat.echo(), os.urandom(5000))
            assert answer.compile_milliseconds > 0
            results, _missing = await run(connection, 1)
            assert results[0].outcome.fault is None

    asyncio.run(story())


@pytest.mark.smoke
def test_a_large_output_is_held_and_put_into_the_store_under_a_grant(tmp_path: Path) -> None:
    async def story() -> None:
        data = bytes(range(256)) * 1000
        async with opened(tmp_path / "store") as store, leased(tmp_path) as (rig, _client, connection):
            server = await serve(store, tmp_path / "store.sock", rig.holder.public_key(), clock=time.time)
            assert isinstance(await prepare(connection, wat.echo()), Prepared)
            await connection.send(Run(0, 1, 0, (Task(7, 2, "7-x", data),)))
            answer = await expect(connection, Results)
            assert isinstance(answer, Results)
            assert answer.results[0].outcome.held_bytes == len(data)
            grant = PutGrant(
                store="store-1", term=1, key_prefix="main/7/2", max_bytes=len(data), expires_at=time.time() + 60
            )
            await connection.send(Grant(7, 2, server.endpoint, "main/7/2", sign(grant, rig.holder)))
            assert await expect(connection, Stored) == Stored(7, 2, ("stdout",), len(data))
            assert await store.read("main/7/2/stdout") == data
            assert not list((rig.scratch / "held").iterdir())
            await connection.send(Grant(8, 1, server.endpoint, "main/8/1", sign(grant, rig.holder)))
            missing = await expect(connection, Stored)
            assert isinstance(missing, Stored)
            assert missing.fault is not None
            await server.close()

    asyncio.run(story())


@pytest.mark.unhappy("a blob that does not fit, or is not what its name says")
def test_blobs_are_bounded_and_checked(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path, "--tmpfs", "100000") as (_, _client, connection):
            await connection.send(Blob("0" * 64, 100_001, 0, b"x"))
            refused = await expect(connection, Refused)
            assert isinstance(refused, Refused)
            assert (refused.reason, "100001" in refused.cause) == ("CapacityExceeded", True)
            await connection.send(Blob("0" * 64, 1, 0, b"x"))
            wrong = await expect(connection, Refused)
            assert isinstance(wrong, Refused)
            assert wrong.reason == "BadRequest"
            # The connection goes on, and what was never here is told when it is needed.
            program = Program(name="t", language=Language.WASM, source="0" * 64)
            await connection.send(Prepare(0, program))
            failed = await expect(connection, PrepareFailed)
            assert isinstance(failed, PrepareFailed)
            assert failed.fault.kind is FaultKind.IO_ERROR
            assert isinstance(await prepare(connection, wat.echo()), Prepared)

    asyncio.run(story())


@pytest.mark.unhappy("a mount that is no archive")
def test_a_mount_that_cannot_be_unpacked_fails_the_preparation(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            source, mount = await send_blob(connection, wat.echo()), await send_blob(connection, b"no archive" * 200)
            mounts = (Mount(path="/data", digest=mount),)
            await connection.send(Prepare(0, Program(name="t", language=Language.WASM, source=source, mounts=mounts)))
            failed = await expect(connection, PrepareFailed)
            assert isinstance(failed, PrepareFailed)
            assert failed.fault.kind is FaultKind.IO_ERROR

    asyncio.run(story())


@pytest.mark.unhappy("a malformed module, a missing import")
@pytest.mark.parametrize("module", [b"not wasm", wat.missing_import(), wat.no_start()])
def test_a_bad_module_is_told_before_any_task_runs(tmp_path: Path, module: bytes) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            answer = await prepare(connection, module)
            assert isinstance(answer, PrepareFailed)
            assert answer.fault.kind is FaultKind.BAD_MODULE
            assert answer.fault.remedy

    asyncio.run(story())


@pytest.mark.unhappy("an output that grows without end")
def test_an_endless_output_is_too_large(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            assert isinstance(await prepare(connection, wat.spew(), max_output=100_000), Prepared)
            results, _missing = await run(connection, 1)
            assert results[0].outcome.fault is not None
            assert results[0].outcome.fault.kind is FaultKind.OUTPUT_TOO_LARGE

    asyncio.run(story())


def test_metrics_and_health_are_served_over_http(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection):
            assert isinstance(await prepare(connection, wat.echo()), Prepared)
            await run(connection, 5)
            text = await asyncio.to_thread(_get, rig.root / "m.sock", "/metrics")
            assert "leasegrid_tasklets_launched_total 5.0" in text
            assert 'leasegrid_tasklet_duration_ms_bucket{le="+Inf"} 5.0' in text
            assert 'leasegrid_pool_members{state="claimed"} 1.0' in text
            assert "200 OK" in await asyncio.to_thread(_get, rig.root / "m.sock", "/healthz")

    asyncio.run(story())


def _get(path: Path, target: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()
