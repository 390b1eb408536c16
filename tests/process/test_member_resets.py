"""What a reset owes the next holder: nothing of the former is found, or the member takes no lease again."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.programs import Mode, Task
from tasklet_runner.wire.work import Ended, Prepared, Run
from tests.support import wat
from tests.support.locked import undeletable
from tests.support.members import MemberRig, expect, leased, member, prepare, run
from tests.support.python_members import Script, ask, prepare_script

pytestmark = pytest.mark.usefixtures("compiled_python")

MARKER = b"marker-of-the-former-holder"

PLANT = """
import os, sys
marker = sys.stdin.read()
kept = [marker] * 1000
open("/out/" + marker, "w").write(marker * 5000)
sys.stdout.write(marker * 5000)
sys.stderr.write(marker + os.environ["MARKER"])
"""

LOOK_AROUND = """
import os
print([name for root, _, files in os.walk("/out") for name in files], sorted(os.environ), os.listdir("/out"))
"""


def die_by_segv(pid: int) -> None:
    # The engine has a handler, which traps use: it lets a signal from outside go once, and the next one kills.
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        os.kill(pid, signal.SIGSEGV)
        time.sleep(0.02)


@pytest.mark.unhappy("a slot killed by SIGSEGV")
def test_a_slot_that_dies_by_segv_disconnects_its_task_and_replaces_the_member_after_the_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, client, connection):
            assert isinstance(await prepare(connection, wat.sleep(3000)), Prepared)
            running = asyncio.create_task(run(connection, 2))
            await asyncio.sleep(0.7)
            await asyncio.to_thread(die_by_segv, rig.slot_pids()[0])
            results, missing = await running
            fault = results[0].outcome.fault
            assert fault is not None
            assert (fault.kind, missing) == (FaultKind.DISCONNECTED, [1])
            assert "SIGSEGV" in fault.message
            # The lease itself goes on, with a slot that stands again.
            assert isinstance(await prepare(connection, wat.echo()), Prepared)
            results, _ = await run(connection, 1, frame=2)
            assert results[0].outcome.stdout == b"input 0\n"
            reply = await client.release(rig.signed(rig.capability(await client.state())))
            assert reply.counters.killed == 1
            assert rig.process is not None
            assert await asyncio.to_thread(rig.process.wait, 20) == 0
            assert not list(tmp_path.iterdir())

    asyncio.run(story())


@pytest.mark.unhappy("a reset that cannot be proven clean")
def test_a_member_whose_scratch_was_taken_away_is_fenced_and_takes_no_lease_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, client, connection):
            assert isinstance(await prepare(connection, wat.echo()), Prepared)
            await run(connection, 3)
            # Whatever stood there is out of the member's sight: nobody can prove that it is gone.
            rig.scratch.rename(tmp_path / "elsewhere")
            rig.scratch.write_bytes(b"")
            reply = await client.release(rig.signed(rig.capability(await client.state())))
            assert reply.counters.tasklets == 3
            state = await rig.ready(client, MemberState.FENCED)
            assert "could not be proven clean" in state.reason
            with pytest.raises(RefusedError) as refused:
                await client.bind(rig.signed(rig.bind(state)))
            assert refused.value.reason == "Fenced"
            await asyncio.to_thread(_ends_in_order, rig)

    asyncio.run(story())


@pytest.mark.unhappy("a file in scratch that cannot be deleted")
def test_a_member_with_a_file_that_it_cannot_delete_is_fenced(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, client, _):
            with undeletable(rig.scratch / "held" / "locked"):
                await client.release(rig.signed(rig.capability(await client.state())))
                await rig.ready(client, MemberState.FENCED)
            await asyncio.to_thread(_ends_in_order, rig)
            assert not list(tmp_path.iterdir())

    asyncio.run(story())


def _ends_in_order(rig: MemberRig) -> None:
    assert rig.process is not None
    assert rig.process.stderr is not None
    rig.process.terminate()
    words = rig.process.stderr.read().decode()
    assert rig.process.wait(20) in (0, 4), words
    assert "Traceback" not in words


@pytest.mark.smoke
@pytest.mark.unhappy("a release while tasklets run")
def test_a_release_kills_what_runs_at_once_and_the_next_holder_finds_a_fresh_member(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path, "--slots", "2") as (rig, client, connection):
            assert isinstance(await prepare(connection, wat.loop(), fuel=10**15), Prepared)
            for slot in (0, 1):
                await connection.send(Run(slot, 1, 0, tuple(Task(n, 1, f"{n}-x") for n in range(9))))
            await asyncio.sleep(0.5)
            before = rig.slot_pids()
            assert len(before) == 2
            await client.release(rig.signed(rig.capability(await client.state())))
            assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]
            assert await expect(connection, Ended) == Ended("Released")
            state = await rig.claimed(client)
            second = await rig.work(state, rig.signed(rig.capability(state)))
            assert isinstance(await prepare(second, wat.echo()), Prepared)
            results, missing = await run(second, 3, slot=1)
            assert [result.outcome.stdout for result in results] == [b"input 0\n", b"input 1\n", b"input 2\n"]
            assert not missing
            await second.close()

    asyncio.run(story())


@pytest.mark.parametrize("mode", [Mode.FRESH, Mode.LOOP])
def test_nothing_that_a_holder_planted_is_found_after_its_lease(tmp_path: Path, mode: Mode) -> None:
    async def story() -> None:
        text = PLANT if mode is Mode.FRESH else f"import sys, time\nfor line in sys.stdin: print({MARKER!r}, line)"
        planted = Script(
            text + f"# {MARKER.decode()}\n",
            mode=mode,
            environment=(("MARKER", MARKER.decode()),),
            output_files=mode is Mode.FRESH,
        )
        async with member(tmp_path) as (rig, client):
            state = await rig.claimed(client)
            first = await rig.work(state, rig.signed(rig.capability(state)))
            assert isinstance(await prepare_script(first, planted), Prepared)
            await ask(first, Task(0, 1, "0-x", MARKER))
            assert rig.files_with(MARKER)
            await client.release(rig.signed(rig.capability(state)))
            await first.close()
            await rig.ready(client)
            assert rig.files_with(MARKER) == []
            state = await rig.claimed(client)
            second = await rig.work(state, rig.signed(rig.capability(state)))
            assert isinstance(await prepare_script(second, Script(LOOK_AROUND, output_files=True)), Prepared)
            (result,) = await ask(second, Task(0, 1, "0-x"))
            assert result.outcome.stdout.startswith(b"[] ["), result
            assert b"MARKER" not in result.outcome.stdout
            assert not [pid for pid in rig.slot_pids() if MARKER in Path(f"/proc/{pid}/environ").read_bytes()]
            await second.close()

    asyncio.run(story())
