"""However a run ends, nothing of it is left: no process, no socket, no scratch. Listings come from the kernel."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from leasegrid.local.fabric import LocalFabric
from leasegrid.local.runtime import create_runtime_directory, reap_stale
from leasegrid.local.state import StateDirectory
from tasklet_runner.wire.errors import StateDirectoryError
from tests.process.local_fabric_rig import local_fabric, members_of, processes_of, request, until
from tests.support.machine_clock import MachineClock

RUN = """
import asyncio, json, sys
from pathlib import Path
from tests.process.local_fabric_rig import local_fabric, request

async def main():
    async with local_fabric(Path(sys.argv[1])) as fabric:
        if sys.argv[2] == "leased":
            await fabric.acquire(request("a", ttl_seconds=int(sys.argv[3])))
        print(json.dumps(str(fabric.runtime.path)), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def started_run(directory: Path, kind: str, ttl_seconds: int = 120) -> tuple[subprocess.Popen[str], Path]:
    """A fabric in a process of its own, and its runtime directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(directory), kind, str(ttl_seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdout is not None
    return process, Path(json.loads(process.stdout.readline()))


def kill_and_wait(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def gone(runtime: Path) -> bool:
    return not runtime.exists() and not processes_of(runtime)


@pytest.mark.smoke
def test_a_closed_fabric_leaves_no_process_no_socket_and_no_scratch(tmp_path: Path) -> None:
    async def story() -> tuple[Path, LocalFabric]:
        async with local_fabric(tmp_path) as fabric:
            await fabric.acquire(request("a", count=2, min_count=2))
            assert len(members_of(fabric.runtime.path)) == 2
            return fabric.runtime.path, fabric

    runtime, fabric = asyncio.run(story())
    assert gone(runtime)
    assert fabric.remains == ()
    assert StateDirectory(tmp_path / "state").kept() == []


def test_a_fabric_that_is_closed_before_its_first_member_is_ready_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> Path:
        async with local_fabric(tmp_path) as fabric:
            await asyncio.gather(fabric.close(), fabric.close())
            return fabric.runtime.path

    assert gone(asyncio.run(story()))


@pytest.mark.unhappy("a member that hangs does not hold up the end")
def test_members_that_hang_are_killed_at_the_end(tmp_path: Path) -> None:
    async def story() -> Path:
        async with local_fabric(tmp_path) as fabric:
            await fabric.acquire(request("a", count=2, min_count=2))
            for process in members_of(fabric.runtime.path):
                process.suspend()
            return fabric.runtime.path

    assert gone(asyncio.run(story()))


@pytest.mark.unhappy("SIGKILL of the whole run: nothing is left when its lease's time is over")
def test_after_sigkill_of_an_idle_run_nothing_is_left_at_once(tmp_path: Path) -> None:
    process, runtime = started_run(tmp_path, "idle")
    kill_and_wait(process)
    asyncio.run(until(lambda: gone(runtime)))


@pytest.mark.unhappy("SIGKILL of the whole run: nothing is left when its lease's time is over")
def test_after_sigkill_of_a_run_nothing_is_left_by_its_deadline_and_the_books_close(tmp_path: Path) -> None:
    process, runtime = started_run(tmp_path, "leased", ttl_seconds=3)
    kill_and_wait(process)
    killed = time.monotonic()
    asyncio.run(until(lambda: gone(runtime)))
    # TTL + 1 s is the promise on an idle machine; the rest is room for a busy one.
    assert time.monotonic() - killed < 10
    state = StateDirectory(tmp_path / "state")
    clock = MachineClock()
    clock.step(time.time() + 20 - clock.wall)
    state.now = clock
    (receipt,) = state.reap()
    assert receipt.reason == "Expired"
    assert state.kept() == []
    state.close()


@pytest.mark.unhappy("SIGKILL of the zygote: its members are ended and made anew")
def test_after_sigkill_of_the_zygote_the_run_goes_on_with_new_members(tmp_path: Path) -> None:
    async def story() -> Path:
        async with local_fabric(tmp_path) as fabric:
            view = await fabric.acquire(request("a", elastic=True))
            first = view.members[0]
            zygote = members_of(fabric.runtime.path)[0].ppid()
            old = {process.pid for process in processes_of(fabric.runtime.path)}
            os.kill(zygote, signal.SIGKILL)
            while not view.members or view.members[0].incarnation == first.incarnation:
                view = await fabric.watch(view.uid, view.version)
            assert not old & {process.pid for process in processes_of(fabric.runtime.path)}
            return fabric.runtime.path

    assert gone(asyncio.run(story()))


def reaped(runtime: Path) -> bool:
    """A process that is ending gives up its memory, by which we know it, before its files, the lock among them: the
    next command may come too early, and the one after it finds the directory.
    """
    reap_stale()
    return gone(runtime)


@pytest.mark.unhappy("what a killed zygote left is removed by the next command")
def test_the_next_command_reaps_the_directory_of_a_dead_run_and_leaves_a_living_one(tmp_path: Path) -> None:
    process, runtime = started_run(tmp_path, "leased")
    living = create_runtime_directory()
    for one in [*processes_of(runtime), psutil.Process(process.pid)]:
        one.suspend()
    for one in [*processes_of(runtime), psutil.Process(process.pid)]:
        one.kill()
    kill_and_wait(process)
    asyncio.run(until(lambda: reaped(runtime)))
    assert living.path.exists()
    living.remove()


@pytest.mark.unhappy("the state directory's job is in use by another run")
def test_a_second_run_of_a_job_names_the_process_of_the_first(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from leasegrid.local.state import StateDirectory\n"
        "held = StateDirectory(Path(sys.argv[1])).hold_job('default', 'fractal'); print(held.term, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "1\n"
        state = StateDirectory(tmp_path)
        with pytest.raises(StateDirectoryError, match=f"default/fractal is in use by process {first.pid}") as refused:
            state.hold_job("default", "fractal")
        assert refused.value.remedy
        first.kill()
    volume = state.hold_job("default", "fractal")
    assert volume.term == 2
    volume.release()
