"""The zygote forks members, tells of their ends, and leaves nothing behind when the fabric's process is gone."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.programs import Task
from tasklet_runner.wire.work import Prepared, Run
from tests.support import wat
from tests.support.locked import undeletable
from tests.support.members import Address, MemberRig, prepare
from tests.support.running import REPOSITORY, wait_until
from tests.support.zygotes import PATIENCE_SECONDS, ZygoteRig


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[ZygoteRig]:
    rig = ZygoteRig(tmp_path)
    yield rig
    rig.close()


def rig_of(zygote: ZygoteRig, name: str) -> tuple[MemberRig, MemberClient]:
    rig = MemberRig(zygote.root, name=name, fabric=zygote.fabric)
    return rig, MemberClient(f"unix://{zygote.root}/{name}.sock")


@pytest.mark.smoke
def test_members_are_forked_and_when_the_fabric_is_gone_idle_ones_end_and_nothing_is_left(zygote: ZygoteRig) -> None:
    async def story() -> None:
        for name in ("a", "b"):
            zygote.spawn(name)
            reply = zygote.reply()
            assert reply["spawned"] == name
            rig, client = rig_of(zygote, name)
            await rig.ready(client)
            await client.close()
        zygote.end_life()
        assert await asyncio.to_thread(zygote.process.wait, PATIENCE_SECONDS) == 0
        assert not zygote.root.exists()

    asyncio.run(story())


@pytest.mark.unhappy("the fabric's process is killed while a member is leased")
def test_a_leased_member_outlives_the_fabric_until_its_deadline(zygote: ZygoteRig) -> None:
    async def story() -> None:
        zygote.spawn("a")
        zygote.reply()
        rig, client = rig_of(zygote, "a")
        await rig.claimed(client, 4)
        zygote.end_life()
        await asyncio.sleep(1)
        assert (await client.state()).lease_uid
        await client.close()
        assert await asyncio.to_thread(zygote.process.wait, PATIENCE_SECONDS) == 0
        assert not zygote.root.exists()

    asyncio.run(story())


@pytest.mark.unhappy("a member is killed")
def test_a_killed_member_is_told_and_its_scratch_and_socket_are_removed(zygote: ZygoteRig) -> None:
    async def story() -> None:
        zygote.spawn("a")
        pid = zygote.reply()["pid"]
        assert isinstance(pid, int)
        rig, client = rig_of(zygote, "a")
        await rig.ready(client)
        await client.close()
        os.kill(pid, signal.SIGKILL)
        assert zygote.reply() == {"exited": "a", "pid": pid, "status": -signal.SIGKILL}
        assert not list(zygote.root.iterdir())

    asyncio.run(story())


def test_a_member_that_cannot_listen_is_told_with_exit_code_4(zygote: ZygoteRig) -> None:
    zygote.spawn("a", listen=f"unix://{zygote.root}/no/such/directory.sock")
    pid = zygote.reply()["pid"]
    assert zygote.reply() == {"exited": "a", "pid": pid, "status": 4}


def test_an_order_that_cannot_be_read_fails_and_the_zygote_goes_on(zygote: ZygoteRig) -> None:
    zygote.control.sendall(b'{"spawn": 1}\n')
    assert "cannot be read" in str(zygote.reply()["cause"])
    zygote.spawn("a")
    assert zygote.reply()["spawned"] == "a"


@pytest.mark.unhappy("something that a member left cannot be deleted")
def test_the_zygote_goes_on_for_others_when_a_member_leaves_what_cannot_be_deleted(zygote: ZygoteRig) -> None:
    async def story() -> None:
        for name in ("a", "b"):
            zygote.spawn(name)
        pids = {str(reply["spawned"]): reply["pid"] for reply in (zygote.reply(), zygote.reply())}
        rig, client = rig_of(zygote, "a")
        await rig.ready(client)
        await client.close()
        with undeletable(zygote.root / "a" / "locked"):
            os.kill(int(str(pids["a"])), signal.SIGKILL)
            assert zygote.reply()["exited"] == "a"
            zygote.spawn("c")
            assert zygote.reply()["spawned"] == "c"
            rig, client = rig_of(zygote, "b")
            await rig.ready(client)
            await client.close()

    asyncio.run(story())


@pytest.mark.unhappy("SIGTERM of the zygote")
def test_a_terminated_zygote_ends_idle_members_at_once_lets_running_tasks_end_and_leaves_nothing(
    zygote: ZygoteRig,
) -> None:
    async def story() -> None:
        for name in ("a", "b"):
            zygote.spawn(name)
            zygote.reply()
        idle, idle_client = rig_of(zygote, "a")
        await idle.ready(idle_client)
        await idle_client.close()
        rig, client = rig_of(zygote, "b")
        state = await rig.claimed(client)
        connection = await WorkConnection.open(
            Address("b", f"unix://{zygote.root}/b.sock", state.incarnation),
            rig.signed(rig.capability(state)),
            rig.holder,
        )
        assert isinstance(await prepare(connection, wat.sleep(1500)), Prepared)
        await connection.send(Run(0, 1, 0, (Task(0, 1, "0-x"),)))
        await asyncio.sleep(0.5)
        zygote.process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            kinds = [type(message).__name__ async for message in connection]
        assert kinds == ["Draining", "Results", "Ended"]
        await connection.close()
        await client.close()
        assert await asyncio.to_thread(zygote.process.wait, PATIENCE_SECONDS) == 0
        assert not zygote.root.exists()

    asyncio.run(story())


@pytest.mark.unhappy("fabric and holder are killed while tasklets run: the deadline passes")
def test_at_the_deadline_with_fabric_and_holder_killed_slots_are_dead_and_everything_is_gone(tmp_path: Path) -> None:
    doomed = subprocess.Popen(
        [sys.executable, "-m", "tests.support.doomed_holder", str(tmp_path), "6"],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert doomed.stdout is not None
    words = json.loads(doomed.stdout.readline())
    # Before the kill: a connection that closes has its slots killed and forked anew.
    children = Path(f"/proc/{words['member']}/task/{words['member']}/children")
    processes = [Path(f"/proc/{pid}") for pid in (words["member"], words["zygote"], *children.read_text().split())]
    assert len(processes) == 4
    doomed.kill()
    doomed.wait(PATIENCE_SECONDS)
    doomed.stdout.close()
    patience = words["left"] + PATIENCE_SECONDS
    wait_until(lambda: not any(path.exists() for path in processes), patience, "the deadline")
    assert not list(tmp_path.iterdir())
