"""Nothing that one holder leaves in memory, files, caches, environment or logs is ever read by another."""

import asyncio
from pathlib import Path

import pytest

from tasklet_runner.wire.programs import Language, Mode, Mount, Program, Task
from tasklet_runner.wire.work import Prepared
from tests.hostile.desk import Holder
from tests.hostile.files import archive
from tests.hostile.markers import MARKER, Hunt, fill_memory, in_files, plant, prepared, search_memory
from tests.support.members import member

pytestmark = pytest.mark.timeout(600)

SLOTS = 2
ARGUMENTS = ("--slots", str(SLOTS), "--memory", str(1 << 30))


@pytest.mark.usefixtures("compiled_python")
@pytest.mark.unhappy("the next holder of the same slots looks everywhere for what the last one left")
def test_the_next_holder_finds_nothing_of_the_one_before(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path, *ARGUMENTS) as (rig, client):
            async with Holder("planter").holding(rig, client) as held:
                shown = await plant(held.desk, await held.desk.give_python(), SLOTS)
                assert shown == 3 * SLOTS
                assert in_files(rig.scratch)
                blob = await held.desk.send(fill_memory())
            assert in_files(rig.scratch) == []
            async with Holder("hunter").holding(rig, client) as held:
                hunt = await Hunt.ready(held.desk, await held.desk.give_python())
                read = await hunt.read(range(SLOTS))
                await hunt.steal(blob)
            assert len(read) > 1000
            assert MARKER not in read
            assert rig.process is not None
            assert rig.process.stderr is not None
            rig.process.terminate()
            assert MARKER not in await asyncio.to_thread(rig.process.stderr.read)

    asyncio.run(story())


@pytest.mark.unhappy("a tasklet looks for what the one before it left in the same slot's process")
def test_a_fresh_instance_finds_nothing_of_the_one_before_it_in_the_same_process(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path, *ARGUMENTS) as (rig, client), Holder("both").holding(rig, client) as held:
            planter = await prepared(held.desk, fill_memory(), output_files=True)
            hunter = await prepared(held.desk, search_memory())
            before = rig.slot_pids()
            for turn in range(10):
                await held.desk.run(planter, 0, [Task(turn, 1, f"{turn}-x", MARKER)])
                results, _ = await held.desk.run(hunter, 0, [Task(turn, 1, f"{turn}-x")])
                assert results[0].outcome.fault is None
                assert results[0].outcome.stdout == b""
            assert rig.slot_pids() == before

    asyncio.run(story())


HOARD = """
import json, sys
kept = []
for line in sys.stdin:
    try:
        while len(kept) < 100_000: kept.append(open("/tasklet/tool.py"))
    except OSError: pass
    print(json.dumps({"id": json.loads(line)["id"], "output": str(len(kept))}), flush=True)
"""


@pytest.mark.usefixtures("compiled_python")
@pytest.mark.unhappy("a Loop program that keeps every descriptor of its slot")
def test_a_hoard_of_descriptors_costs_the_slot_and_not_the_member(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path, *ARGUMENTS) as (rig, client), Holder("hoarder").holding(rig, client) as held:
            python = await held.desk.give_python()
            hoard = await prepared(held.desk, HOARD.encode(), python, mode=Mode.LOOP)
            honest = await prepared(held.desk, search_memory())
            results, _ = await held.desk.run(hoard, 0, [Task(0, 1, "0-x")])
            assert int(results[0].outcome.stdout) > 1000
            reasons = []
            for turn in range(3):
                results, _ = await held.desk.run(honest, 0, [Task(turn, 1, f"{turn}-x")])
                reasons.append(results[0].outcome.fault and results[0].outcome.fault.reason)
            # The first may meet what is left to it, and then the slot begins anew; nobody else is concerned.
            assert reasons[0] in (None, "Disconnected")
            assert reasons[1:] == [None, None]
            assert (await client.state()).state.value == "claimed"

    asyncio.run(story())


@pytest.mark.unhappy("programs that are prepared at once and name one mount")
def test_a_mount_that_several_programs_ask_for_at_once_is_whole_for_each(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path, *ARGUMENTS) as (rig, client), Holder("many").holding(rig, client) as held:
            source = await held.desk.send(search_memory())
            digest = await held.desk.send(archive(**{f"f{number}": b"x" for number in range(2000)}))
            mounts = (Mount(path="/mount", digest=digest),)
            program = Program(name="t", language=Language.WASM, source=source, mounts=mounts)
            answers = await asyncio.gather(*(held.desk.prepare(program) for _ in range(4)))
            assert [answer for answer in answers if not isinstance(answer, Prepared)] == []
            assert len(list((rig.scratch / "mounts" / digest).iterdir())) == 2000

    asyncio.run(story())
