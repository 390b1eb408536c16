"""Mounts: unpacked once, shared by all chunks, read-only; archives that reach outside are refused and write nothing."""

import asyncio
import io
import os
import tarfile
from pathlib import Path

import pytest

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Language, Mount, Program, Task
from tasklet_runner.wire.work import Forget, Prepare, Prepared, PrepareFailed, Refused
from tests.support import wat
from tests.support.members import expect, leased, prepare, send_blob, send_blobs
from tests.support.python_members import Script, ask, prepare_script

pytestmark = pytest.mark.usefixtures("compiled_python")

READ = """
import os
def tried(act):
    try:
        act()
        return "done"
    except OSError as error:
        return type(error).__name__
print(open("/data/deep/file").read(), sorted(os.listdir("/data")), os.stat("/data/deep/file").st_mtime)
print(tried(lambda: open("/data/deep/file", "w")), tried(lambda: open("/data/new", "w")))
print(tried(lambda: os.unlink("/data/deep/file")), tried(lambda: open("/data/../../secret")))
"""


def archive(*entries: tuple[str, bytes, bytes, str]) -> bytes:
    """A tar archive of (name, type, data, link target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as writer:
        for name, kind, data, target in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname, info.mtime = kind, len(data), target, 1_000_000
            writer.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_a_mount_is_shared_by_all_chunks_and_cannot_be_changed_by_any(tmp_path: Path) -> None:
    async def story() -> None:
        data = archive(("deep/file", tarfile.REGTYPE, b"shared", ""), ("empty", tarfile.DIRTYPE, b"", ""))
        async with leased(tmp_path) as (rig, _client, connection):
            digest = await send_blob(connection, data)
            script = Script(READ, mounts=(Mount(path="/data", digest=digest),))
            assert isinstance(await prepare_script(connection, script), Prepared)
            results = await ask(connection, *(Task(n, 1, f"{n}-x") for n in range(3)))
            for result in results:
                first, second, third = result.outcome.stdout.decode().splitlines()
                assert first == "shared ['deep', 'empty'] 1000000.0"
                assert "done" not in second + third
            assert [path.name for path in (rig.scratch / "mounts").iterdir()] == [digest]

    asyncio.run(story())


@pytest.mark.unhappy("a mount whose archive reaches out of its directory")
@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("../../escaped", tarfile.REGTYPE, b"x", "")], "leads out"),
        ([("ok", tarfile.REGTYPE, b"x", ""), ("a/../../../escaped", tarfile.REGTYPE, b"x", "")], "leads out"),
        ([("/tmp/leasegrid-escaped", tarfile.REGTYPE, b"x", "")], "leads out"),  # noqa: S108 - never written
        ([("link", tarfile.SYMTYPE, b"", "../.."), ("link/escaped", tarfile.REGTYPE, b"x", "")], "link"),
        ([("hard", tarfile.LNKTYPE, b"", "/etc/passwd")], "link"),
        ([("pipe", tarfile.FIFOTYPE, b"", "")], "special"),
    ],
    ids=["climbing", "climbing after a good one", "absolute", "through a symlink", "a hard link", "a pipe"],
)
def test_an_archive_that_reaches_outside_is_a_fault_and_writes_nothing(
    tmp_path: Path, entries: list[tuple[str, bytes, bytes, str]], words: str
) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection):
            source, mount = await send_blobs(connection, wat.echo(), archive(*entries))
            mounts = (Mount(path="/data", digest=mount),)
            await connection.send(Prepare(0, Program(name="t", language=Language.WASM, source=source, mounts=mounts)))
            fault = await failure(connection)
            assert fault.kind is FaultKind.IO_ERROR
            assert words in fault.message
            assert list((rig.scratch / "mounts").iterdir()) == []
            assert not [path for path in tmp_path.rglob("*") if path.name == "escaped"]
            assert not os.path.lexists("/tmp/leasegrid-escaped")  # noqa: S108 - as above
            assert isinstance(await prepare(connection, wat.echo()), Prepared)

    asyncio.run(story())


@pytest.mark.unhappy("a mount that unpacks to more than scratch has")
def test_a_mount_that_is_too_large_is_a_fault_with_a_remedy(tmp_path: Path) -> None:
    async def story() -> None:
        # Many empty files: a small blob, more entries than are taken would cost minutes; bytes are bounded likewise.
        data = archive(("file", tarfile.REGTYPE, bytes(60_000), ""))
        async with leased(tmp_path, "--tmpfs", "100000") as (rig, _client, connection):
            source, mount = await send_blobs(connection, wat.echo(), data)
            mounts = (Mount(path="/data", digest=mount),)
            await connection.send(Prepare(0, Program(name="t", language=Language.WASM, source=source, mounts=mounts)))
            assert "give the pool's members more scratch" in (await failure(connection)).message
            assert list((rig.scratch / "mounts").iterdir()) == []

    asyncio.run(story())


async def failure(connection: WorkConnection) -> Fault:
    answer = await expect(connection, PrepareFailed)
    assert isinstance(answer, PrepareFailed)
    return answer.fault


def test_what_is_forgotten_is_gone_and_its_room_is_free_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path, "--tmpfs", "100000") as (rig, _client, connection):
            for number in range(5):
                digest = await send_blob(connection, bytes([number]) * 80_000)
                await connection.send(Forget((digest, "0" * 64, "../x")))
            digest = await send_blob(connection, b"z" * 80_000)
            await send_blob(connection, b"y" * 80_000)
            refused = await expect(connection, Refused)
            assert isinstance(refused, Refused)
            assert refused.reason == "CapacityExceeded"
            assert [path.name for path in (rig.scratch / "blobs").iterdir()] == [digest]

    asyncio.run(story())
