"""How many members a run takes, and when it gives them back."""

import asyncio
from pathlib import Path

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import Phase
from tasklet_runner.plan.types import CountInput, Item, ItemsInput, Requirements
from tasklet_runner.wire.faults import FaultKind
from tests.support.runs import plan, rig, stage
from tests.support.scripted_member import Script, ScriptedMember
from tests.support.scripted_shuffles import soon


def test_a_run_waits_for_capacity_and_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=1) as one:
            member = one.fabric.free.pop()

            async def look(coordinator: Coordinator) -> None:
                await soon(lambda: coordinator.progress().phase is Phase.WAITING_FOR_CAPACITY)
                assert "no member is ready" in coordinator.progress().waiting_because
                await one.fabric.add(member)

            assert (await one.run(plan(), look)).complete

    asyncio.run(scenario())


def test_a_long_compilation_is_said_and_a_short_one_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_to_compile=3)) as one:

            async def look(coordinator: Coordinator) -> None:
                assert coordinator.progress().waiting_because == ""
                await soon(lambda: "compiles the tasklet's module" in coordinator.progress().waiting_because)

            report = await one.run(plan(), look)
            assert report.complete
            assert report.progress.waiting_because == ""

    asyncio.run(scenario())


def test_nothing_is_bound_below_min_parallelism(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=2) as one:
            late = one.fabric.free.pop()

            async def add(_: Coordinator) -> None:
                await asyncio.sleep(0.3)
                assert one.fabric.held == 0
                await one.fabric.add(late)

            report = await one.run(plan(stage(CountInput(count=20), min_parallelism=2)), add)
            assert report.receipts[0].members == ("member-0", "member-1")

    asyncio.run(scenario())


def test_a_run_starts_with_the_first_member_and_grows(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.02), members=3) as one:
            late = [one.fabric.free.pop(), one.fabric.free.pop()]

            async def add(_: Coordinator) -> None:
                await soon(lambda: one.members[0].ran)
                for member in late:
                    await one.fabric.add(member)

            report = await one.run(plan(stage(CountInput(count=100))), add)
            assert max(point.leased for point in report.timeline) == 3
            assert all(member.ran for member in one.members)

    asyncio.run(scenario())


def test_no_more_members_are_taken_than_there_are_chunks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=4) as one:
            report = await one.run(plan(stage(CountInput(count=2))))
            assert max(point.leased for point in report.timeline) <= 2

    asyncio.run(scenario())


def test_members_that_the_last_chunks_do_not_need_are_given_back_while_those_run(tmp_path: Path) -> None:
    async def scenario() -> None:
        slow = Script(seconds_per_task=0.0)
        async with rig(tmp_path, slow, members=3) as one:

            async def look(_: Coordinator) -> None:
                one.members[0].script = Script(seconds_per_task=5)
                await soon(lambda: sorted(one.fabric.given_back) == ["member-1", "member-2"])

            assert (await one.run(plan(stage(CountInput(count=3))), look)).complete

    asyncio.run(scenario())


def test_no_more_slots_work_than_parallelism_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.01), members=2, slots=4) as one:
            report = await one.run(plan(stage(CountInput(count=60), parallelism=3)))
            assert max(point.running for point in report.timeline) <= 3

    asyncio.run(scenario())


def test_a_large_chunk_reserves_its_slots_at_a_member_that_is_held(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.01), members=1, slots=2) as one:
            heavy = Requirements(slots=2)
            items = tuple(Item(value=str(n), requirements=heavy if n % 5 == 0 else None) for n in range(40))
            report = await one.run(plan(stage(ItemsInput(items=items))))
            assert report.complete
            assert len(report.receipts) == 1
            assert await one.outputs() == [str(n).encode() for n in range(40)]

    asyncio.run(scenario())


def test_a_large_chunk_that_no_held_member_can_run_gets_a_lease_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=1) as one:
            large = ScriptedMember("large", tmp_path / "sockets", Script(), slots=4)
            await large.start()
            one.members.append(large)
            one.fabric.free.append(large)
            items = (Item(value="a"), Item(value="b", requirements=Requirements(slots=3)))
            report = await one.run(plan(stage(ItemsInput(items=items), parallelism=1)))
            assert report.complete
            assert (1, 1) in large.ran
            assert len(report.receipts) == 2

    asyncio.run(scenario())


def test_chunks_that_no_pool_can_ever_run_fail_and_the_others_finish(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            items = (Item(value="a"), Item(value="b", requirements=Requirements(slots=64)))
            report = await one.run(plan(stage(ItemsInput(items=items))))
            assert [failure.fault.kind for failure in report.failures] == [FaultKind.UNSUPPORTED]
            assert report.progress.stages[0].succeeded == 1

    asyncio.run(scenario())


def test_a_job_that_no_pool_can_ever_run_says_no_capacity(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            terms = plan().stages[0].lease
            demanding = type(terms)(requirements=Requirements(slots=64))
            report = await one.run(plan(stage(CountInput(count=5), lease=demanding)))
            assert report.reason == "NoCapacity"
            assert "make a pool of larger members" in report.message

    asyncio.run(scenario())
