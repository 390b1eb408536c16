"""The process that copies a job's outputs into a mounted volume, from a store under lease."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.hosting.job_store import JobStoreClient
from tasklet_runner.plan.types import CountInput, Kind, Plan, Source, Stage, TaskletPlan
from tasklet_runner.wire.jobs import COPY_VARIABLE, CopyOrder
from tasklet_runner.wire.programs import Language
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import PutGrant
from tests.process.test_cli_job_stores import Door, door
from tests.support.stores import MEBIBYTE, commit

TASKLET = TaskletPlan(name="t", language=Language.WASM, source=Source())
MAIN = Stage(name="main", tasklet=TASKLET, input=CountInput(count=0))
PLAN = Plan(kind=Kind.JOB, namespace="n", name="j", stages=(MAIN,), waves=(("main",),))
CONTENTS = (b"small", b"", b"x" * (2 * MEBIBYTE + 5))


async def put(here: Door, key: str, content: bytes, file: Path) -> None:
    """An output, as a member puts a large one."""
    grant = PutGrant(store=here.uid, term=1, key_prefix="main", max_bytes=8 * MEBIBYTE, expires_at=time.time() + 60)
    file.write_bytes(content)
    async with StoreConnections() as connections:
        await connections.put_object(here.held.rig.endpoint, sign(grant, here.held.rig.holder), key, file)


async def copied(here: Door, into: Path, get: str) -> tuple[int, str]:
    """Exit code of a copier that is told so, and what it said."""
    order = CopyOrder(plan=msgspec.json.encode(PLAN).decode(), endpoint=here.held.rig.endpoint, get=get)
    return await run(into, msgspec.json.encode(order).decode())


async def run(into: Path, order: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tasklet_runner", "copy", "--into", str(into)]
    process = await asyncio.create_subprocess_exec(*command, env={COPY_VARIABLE: order}, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def test_small_and_large_outputs_are_copied_and_a_second_copy_is_the_same(tmp_path: Path) -> None:
    async def check() -> None:
        async with door(tmp_path) as here:
            writer = JobStoreClient(here.view(), here.held.rig.holder, 1)
            await writer.open()
            for number, content in enumerate(CONTENTS):
                await put(here, f"main/{number}/1/stdout", content, tmp_path / "given")
                await writer.write([], [commit(number)])
            await writer.close()
            for _ in range(2):
                said = await copied(here, tmp_path / "claim" / "j", here.get())
                assert said == (0, f"3 files, {sum(map(len, CONTENTS)):,} bytes\n")

    asyncio.run(check())
    found = tmp_path / "claim" / "j"
    assert tuple((found / str(number) / "stdout").read_bytes() for number in range(3)) == CONTENTS
    assert (found / "_SUCCESS").exists()


@pytest.mark.unhappy("a copy that may not be made: a grant of somebody else, an order that is none")
def test_what_keeps_a_copy_from_being_made_is_its_last_word(tmp_path: Path) -> None:
    async def check() -> None:
        async with door(tmp_path) as here:
            writer = JobStoreClient(here.view(), here.held.rig.holder, 1)
            await writer.open()
            await writer.close()
            code, said = await copied(here, tmp_path / "claim", "forged")
            assert (code, bool(said.strip())) == (4, True)
            code, said = await run(tmp_path / "claim", "{}")
            assert (code, "cannot be read" in said) == (4, True)

    asyncio.run(check())
    assert not (tmp_path / "claim" / "_SUCCESS").exists()
