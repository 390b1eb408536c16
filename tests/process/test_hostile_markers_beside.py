"""Nothing of a tasklet is read while it runs: not from another slot of its member, nor by another holder's member."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tasklet_runner.wire.programs import Task
from tests.hostile.desk import Desk, Held, Holder
from tests.hostile.markers import MARKER, REST, Hunt, fill_memory, in_files, plant, prepared
from tests.support.members import PATIENCE_SECONDS, MemberRig, member

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("compiled_python")]

ARGUMENTS = ("--slots", "2", "--memory", str(1 << 30))


@asynccontextmanager
async def planted(rig: MemberRig, held: Held) -> AsyncIterator[Desk]:
    """While a tasklet rests in slot 0, with the marker in memory, files, environment and logs."""
    desk = await held.another()
    python = await desk.give_python()
    assert await plant(desk, python, 1) == 3
    environment = (("MARKER", MARKER.decode()),)
    rest = await prepared(desk, REST.encode(), python, output_files=True, environment=environment)
    running = asyncio.create_task(desk.run(rest, 0, [Task(0, 1, "0-x", MARKER)]))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not resting(rig):  # noqa: ASYNC110 - what is waited for happens in another process, which tells nobody
            await asyncio.sleep(0.05)
    try:
        yield desk
        assert resting(rig)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def resting(rig: MemberRig) -> bool:
    """True while there is the marker in /out of slot 0: nothing of it outlives the run."""
    return any("/out/" in path for path in in_files(rig.scratch / "slot-0"))


def opened(pids: Iterable[int]) -> dict[int, set[str]]:
    """What these processes have open, by their numbers."""
    found: dict[int, set[str]] = {}
    for pid in pids:
        found[pid] = set()
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[pid].add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return found


@pytest.mark.unhappy("a tasklet looks everywhere for what runs in another slot of its member")
def test_a_tasklet_finds_nothing_of_the_one_in_the_slot_beside_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path, *ARGUMENTS) as (rig, client), Holder("both").holding(rig, client) as held:
            # Before: a program is ready only when every slot has loaded it, and one will be busy.
            hunt = await Hunt.ready(held.desk, await held.desk.give_python())
            async with planted(rig, held):
                read = await hunt.read((1,))
                assert len(read) > 1000
                assert MARKER not in read
                own = str(rig.scratch / "slot-0")
                inside = [any(path.startswith(own) for path in paths) for paths in opened(rig.slot_pids()).values()]
                assert sorted(inside) == [False, True]

    asyncio.run(story())


@pytest.mark.unhappy("a tasklet looks everywhere for what runs at the same time in the member of another holder")
def test_a_tasklet_finds_nothing_of_another_holders_member_beside_its_own(tmp_path: Path) -> None:
    for name in ("theirs", "mine"):
        (tmp_path / name).mkdir()

    async def story() -> None:
        async with (
            member(tmp_path / "theirs", *ARGUMENTS) as (their_rig, their_client),
            member(tmp_path / "mine", *ARGUMENTS) as (rig, client),
            Holder("planter").holding(their_rig, their_client) as planter,
            Holder("hunter").holding(rig, client) as hunter,
            planted(their_rig, planter) as desk,
        ):
            hunt = await Hunt.ready(hunter.desk, await hunter.desk.give_python())
            read = await hunt.read(range(2))
            await hunt.steal(await desk.send(fill_memory()))
            assert len(read) > 1000
            assert MARKER not in read
            theirs = opened(their_rig.slot_pids()).values()
            assert rig.process is not None
            mine = opened([*rig.slot_pids(), rig.process.pid]).values()
            own = str(their_rig.root)
            assert any(path.startswith(own) for paths in theirs for path in paths)
            assert not any(path.startswith(own) for paths in mine for path in paths)

    asyncio.run(story())
