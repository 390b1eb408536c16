"""Work on a real member: tasks through slots, what kills them, what is left, and how a member goes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.work import Ended, Prepared, PrepareFailed
from tests.support import wat
from tests.support.members import MemberRig, expect, leased, member, prepare, run
from tests.support.running import wait_until


@pytest.mark.smoke
def test_a_frame_of_tasks_comes_back_in_order_and_release_hands_the_counters_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path, "--slots", "2") as (rig, client, connection):
            assert isinstance(await prepare(connection, wat.echo()), Prepared)
            for slot in (0, 1):
                results, missing = await run(connection, 40, frame=slot + 7, slot=slot)
                assert [result.index for result in results] == list(range(40))
                assert results[3].outcome.stdout == b"input 3\n"
                assert not missing
            reply = await client.release(rig.signed(rig.capability(await client.state())))
            assert reply.counters.tasklets == 80
            assert (await expect(connection, Ended)) == Ended("Released")

    asyncio.run(story())


@pytest.mark.smoke
@pytest.mark.unhappy("a WASI sleep past the wall clock")
def test_a_sleep_past_the_wall_clock_is_killed_and_its_neighbours_are_not_run(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            assert isinstance(await prepare(connection, wat.sleep(60_000), wall_seconds=1), Prepared)
            results, missing = await run(connection, 3)
            assert [(result.index, result.outcome.fault.kind) for result in results if result.outcome.fault] == [
                (0, FaultKind.TIMED_OUT)
            ]
            assert missing == [1, 2]

    asyncio.run(story())


@pytest.mark.unhappy("a slot killed by a signal from outside")
def test_a_slot_that_is_killed_costs_its_running_task_alone_and_stands_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection):
            assert isinstance(await prepare(connection, wat.sleep(1500)), Prepared)
            running = asyncio.create_task(run(connection, 2))
            await asyncio.sleep(0.7)
            (pid,) = rig.slot_pids()
            os.kill(pid, signal.SIGKILL)
            results, missing = await running
            assert results[0].outcome.fault is not None
            assert results[0].outcome.fault.kind is FaultKind.DISCONNECTED
            assert missing == [1]
            results, missing = await run(connection, 1, frame=2)
            assert results[0].outcome.fault is None

    asyncio.run(story())


@pytest.mark.unhappy("the deadline passes while a tasklet runs")
def test_at_the_deadline_running_tasks_stop_and_the_member_is_free_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path, seconds=3) as (rig, client, connection):
            assert isinstance(await prepare(connection, wat.sleep(60_000)), Prepared)
            running = asyncio.create_task(run(connection, 1))
            await asyncio.sleep(0.5)
            before = rig.slot_pids()
            with pytest.raises(AssertionError, match="LeaseExpired"):
                await running
            await rig.ready(client)
            assert not set(before) & set(rig.slot_pids())
            left = sorted(path.name for path in rig.scratch.iterdir())
            assert left == ["blobs", "checkpoints", "durable", "fetched", "held", "mounts", "slot-0"]

    asyncio.run(story())


@pytest.mark.unhappy("the fabric's process is gone")
def test_an_orphaned_member_ends_at_once_when_idle_and_else_at_its_deadline(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            await rig.claimed(client, 4)
            os.close(rig.life)
            rig.life = -1
            await asyncio.sleep(1)
            assert (await client.state()).lease_uid
            assert rig.process is not None
            assert await asyncio.to_thread(rig.process.wait, 20) == 0
            assert not list(tmp_path.iterdir())

    asyncio.run(story())


@pytest.mark.unhappy("a member is told to end while it works")
def test_a_drained_member_lets_running_tasks_end_and_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection):
            assert isinstance(await prepare(connection, wat.sleep(1000)), Prepared)
            running = asyncio.create_task(run(connection, 1))
            await asyncio.sleep(0.4)
            assert rig.process is not None
            rig.process.terminate()
            with pytest.raises(AssertionError, match="Draining"):
                await running
            async with asyncio.timeout(20):
                kinds = [type(message).__name__ async for message in connection]
            assert kinds == ["Results", "Ended"]
            assert await asyncio.to_thread(rig.process.wait, 20) == 0
            assert not list(tmp_path.iterdir())

    asyncio.run(story())


@pytest.mark.unhappy("a member is killed")
def test_slots_die_with_their_member(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection):
            assert isinstance(await prepare(connection, wat.loop(), fuel=10**15), Prepared)
            pids = rig.slot_pids()
            assert rig.process is not None
            rig.process.kill()
            await asyncio.to_thread(wait_until, lambda: not any(Path(f"/proc/{p}").exists() for p in pids), 20, "slots")

    asyncio.run(story())


def test_a_tasklet_larger_than_a_slot_is_unsupported_with_both_numbers(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            answer = await prepare(connection, wat.echo(), memory=600 * 1024 * 1024)
            assert isinstance(answer, PrepareFailed)
            assert answer.fault.kind is FaultKind.UNSUPPORTED
            assert "600Mi" in answer.fault.message
            assert "512Mi" in answer.fault.message
            assert answer.fault.remedy

    asyncio.run(story())


@pytest.mark.smoke
@pytest.mark.unhappy("the port is taken")
@pytest.mark.parametrize("kind", ["port", "socket"])
def test_a_taken_address_is_one_clear_line_and_exit_code_4(tmp_path: Path, kind: str) -> None:
    rig = MemberRig(tmp_path)
    with socket.socket(socket.AF_INET if kind == "port" else socket.AF_UNIX) as taken:
        taken.bind(("127.0.0.1", 0) if kind == "port" else str(tmp_path / "taken"))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}" if kind == "port" else f"unix://{tmp_path}/taken"
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "tasklet_runner", "member", "--listen", listen, "--name", "m0"),
                *("--fabric-key", public_text(rig.fabric), "--scratch", str(rig.scratch)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert ended.returncode == 4
    assert ended.stderr.startswith(f"tasklet-runner: cannot listen at {listen}")
    assert len(ended.stderr.splitlines()) == 1
