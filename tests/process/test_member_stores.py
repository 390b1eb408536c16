"""Held outputs on their way into a real store: byte for byte, and told in words when they do not get there."""

import asyncio
import hashlib
import time
from pathlib import Path

import pytest

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.store.server import serve
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Limits, Task
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tasklet_runner.wire.work import Discard, Grant, Prepared, Stored
from tests.support.members import MemberRig, expect, leased
from tests.support.python_members import Script, ask, prepare_script
from tests.support.stores import MEBIBYTE, opened

pytestmark = pytest.mark.usefixtures("compiled_python")

FILES = 400

MANY = f"""
import hashlib, os, sys
for number in range({FILES}):
    os.makedirs(f"/out/d{{number % 7}}", exist_ok=True)
    with open(f"/out/d{{number % 7}}/{{number}} \u00fc", "wb") as file:
        file.write(bytes([number % 256]) * (number * 10))
sys.stdout.buffer.write(bytes(range(256)) * 56000)
"""

LARGE = Script(MANY, output_files=True, limits=Limits(fuel=10**12, max_output=16 * MEBIBYTE))


async def hold(connection: WorkConnection) -> None:
    assert isinstance(await prepare_script(connection, LARGE), Prepared)
    (result,) = await ask(connection, Task(0, 1, "0-x"))
    assert result.outcome.fault is None, result.outcome.fault
    assert result.outcome.held_bytes > 14 * MEBIBYTE


def grant(rig: MemberRig, endpoint: str, **changes: object) -> Grant:
    words = {"store": "store-1", "term": 1, "key_prefix": "main/0/1", "max_bytes": 16 * MEBIBYTE}
    statement = PutGrant(**(words | {"expires_at": time.time() + 60} | changes))  # type: ignore[arg-type]
    return Grant(0, 1, endpoint, "main/0/1", sign(statement, rig.holder))


async def fault_of(connection: WorkConnection) -> Fault:
    answer = await expect(connection, Stored)
    assert isinstance(answer, Stored)
    assert answer.fault is not None
    return answer.fault


def test_a_large_stdout_and_many_files_reach_the_store_byte_for_byte(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "store") as store, leased(tmp_path) as (rig, _client, connection):
            server = await serve(store, tmp_path / "s.sock", rig.holder.public_key(), clock=time.time)
            await hold(connection)
            await connection.send(grant(rig, server.endpoint))
            stored = await expect(connection, Stored)
            assert isinstance(stored, Stored)
            assert stored.fault is None
            assert len(stored.files) == FILES + 1
            for number in range(FILES):
                data = await store.read(f"main/0/1/out/d{number % 7}/{number} \u00fc")
                assert data == bytes([number % 256]) * (number * 10)
            digest = hashlib.sha256(await store.read("main/0/1/stdout")).hexdigest()
            assert digest == hashlib.sha256(bytes(range(256)) * 56000).hexdigest()
            assert list((rig.scratch / "held").iterdir()) == []
            await server.close()

    asyncio.run(story())


@pytest.mark.unhappy("a grant that the store refuses")
def test_a_refused_grant_is_told_and_the_output_stays_held_until_a_good_one_or_a_discard(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "store") as store, leased(tmp_path) as (rig, _client, connection):
            server = await serve(store, tmp_path / "s.sock", rig.holder.public_key(), clock=time.time)
            await hold(connection)
            refused = {
                FaultKind.LEASE_EXPIRED: grant(rig, server.endpoint, expires_at=time.time() - 1),
                FaultKind.FENCED: grant(rig, server.endpoint, term=9),
                FaultKind.IO_ERROR: grant(rig, server.endpoint, max_bytes=1000),
                FaultKind.DISCONNECTED: grant(rig, f"unix://{tmp_path}/nobody.sock"),
            }
            for kind, wrong in refused.items():
                await connection.send(wrong)
                fault = await fault_of(connection)
                assert (fault.kind, bool(fault.message)) == (kind, True)
            assert [path.name for path in (rig.scratch / "held").iterdir()] == ["0-1"]
            await connection.send(Discard(0, 1))
            await connection.send(grant(rig, server.endpoint))
            assert (await fault_of(connection)).kind is FaultKind.IO_ERROR
            assert list((rig.scratch / "held").iterdir()) == []
            await server.close()

    asyncio.run(story())


@pytest.mark.unhappy("the store goes away in the middle of a put")
def test_a_store_that_goes_away_in_mid_put_disconnects_the_put_and_a_second_one_succeeds(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "store") as store, leased(tmp_path) as (rig, _client, connection):
            await hold(connection)
            started = asyncio.Event()

            async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(100_000)
                writer.transport.abort()
                started.set()

            server = await asyncio.start_unix_server(cut_off, tmp_path / "half.sock")
            await connection.send(grant(rig, f"unix://{tmp_path}/half.sock"))
            fault = await fault_of(connection)
            assert started.is_set()
            assert (fault.kind, bool(fault.remedy)) == (FaultKind.DISCONNECTED, True)
            server.close()
            whole = await serve(store, tmp_path / "s.sock", rig.holder.public_key(), clock=time.time)
            await connection.send(grant(rig, whole.endpoint))
            stored = await expect(connection, Stored)
            assert isinstance(stored, Stored)
            assert (stored.fault, len(stored.files)) == (None, FILES + 1)
            await whole.close()

    asyncio.run(story())
