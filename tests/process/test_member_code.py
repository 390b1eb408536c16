"""Compiled code is loaded only when it opens with the job's key for this very engine; else the member compiles."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.member.sealing import associated_data, encrypt_code
from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.engine import fingerprint
from tasklet_runner.wire.programs import Language, Program
from tasklet_runner.wire.work import CodeKey, Prepare, Prepared, Refused
from tests.support import wat
from tests.support.members import expect, leased, run, send_blobs
from tests.support.python_members import give_key

KEY = bytes(32)
OTHER = bytes(31) + b"x"


def encrypted(directory: Path, compiled: bytes, *, key: bytes = KEY, named: bytes = b"", engine: str = "") -> bytes:
    """Native code of `compiled` under `key`, said to be of the module `named` and of this engine."""
    path = directory / "module.wasm"
    path.write_bytes(compiled)
    code = CompileChild.start(path, CompileBounds(memory=1 << 29)).finish()
    path.unlink()
    try:
        digest = hashlib.sha256(named or compiled).hexdigest()
        return encrypt_code(key, code, associated_data(digest, engine or fingerprint()))
    finally:
        os.close(code)


async def compiled_here(connection: WorkConnection, code: bytes) -> bool:
    """Prepare `echo` with this code, run it; False when the code was used as it came."""
    source, digest = await send_blobs(connection, wat.echo(), code)
    await connection.send(Prepare(0, Program(name="t", language=Language.WASM, source=source), code=digest))
    answer = await expect(connection, Prepared)
    assert isinstance(answer, Prepared)
    results, _ = await run(connection, 1)
    assert results[0].outcome.stdout == b"input 0\n"
    return answer.compile_milliseconds > 0


def test_code_of_this_engine_under_the_jobs_key_is_used_as_it_came(tmp_path: Path) -> None:
    async def story() -> None:
        code = encrypted(tmp_path, wat.echo())
        async with leased(tmp_path) as (_, _client, connection):
            await give_key(connection, KEY)
            assert not await compiled_here(connection, code)

    asyncio.run(story())


@pytest.mark.unhappy("compiled code that was tampered with, or is of another module, engine or key")
@pytest.mark.parametrize("wrong", ["flipped", "cut", "empty", "another module", "another engine", "another key"])
def test_code_is_never_loaded_when_it_is(tmp_path: Path, wrong: str) -> None:
    good = encrypted(tmp_path, wat.echo())
    bad = {
        "flipped": good[:-100] + bytes([good[-100] ^ 1]) + good[-99:],
        "cut": good[:-1],
        "empty": b"",
        # Of a module that would print something else, under the name of the one that is asked for.
        "another module": encrypted(tmp_path, wat.write_line("wrong")),
        "another engine": encrypted(tmp_path, wat.write_line("wrong"), named=wat.echo(), engine="0" * 64),
        "another key": encrypted(tmp_path, wat.write_line("wrong"), named=wat.echo(), key=OTHER),
    }

    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            await give_key(connection, KEY)
            assert await compiled_here(connection, bad[wrong])

    asyncio.run(story())


def test_without_a_key_no_code_is_loaded(tmp_path: Path) -> None:
    async def story() -> None:
        code = encrypted(tmp_path, wat.write_line("wrong"), named=wat.echo())
        async with leased(tmp_path) as (_, _client, connection):
            assert await compiled_here(connection, code)

    asyncio.run(story())


@pytest.mark.unhappy("a code key that is sealed to another member")
def test_a_key_that_is_sealed_to_another_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            await connection.send(CodeKey(os.urandom(80)))
            refused = await expect(connection, Refused)
            assert isinstance(refused, Refused)
            assert "not sealed to this member" in refused.cause

    asyncio.run(story())
