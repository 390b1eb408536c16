"""What a run promises, on scripted members with a real store."""

import asyncio
from dataclasses import replace
from pathlib import Path

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import Phase
from tasklet_runner.plan.types import CountInput, Item, ItemsInput, StageInput
from tests.support.local_runs import until
from tests.support.runs import plan, rig, stage
from tests.support.scripted_member import Script


def items(*values: str) -> ItemsInput:
    return ItemsInput(items=tuple(Item(value=value) for value in values))


def test_every_item_becomes_a_chunk_with_its_own_output(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            report = await one.run(plan(stage(items("a", "b", "c"))))
            assert (report.complete, report.reason) == (True, "Finished")
            assert await one.outputs() == [b"a", b"b", b"c"]

    asyncio.run(scenario())


def test_after_a_run_nothing_is_leased_and_the_receipt_names_the_members(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            report = await one.run(plan(stage(CountInput(count=5000))))
            assert one.fabric.held == 0
            assert report.receipts[0].members == ("member-0", "member-1")
            assert report.progress.phase is Phase.COMPLETE
            assert report.progress.stages[0].succeeded == 5000
            assert (report.indexes.completed, report.indexes.failed) == ("0-4999", "")
            assert report.timeline[-1].leased == 0
            assert await one.store.get_value("finished") is not None
            assert list((tmp_path / "scratch").iterdir()) == []

    asyncio.run(scenario())


def test_a_gather_gets_all_outputs_in_index_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            first = stage(items(*(f"{number:03}," for number in range(300))))
            last = stage(StageInput(stages=("main",), gather=True), name="aggregate", depends_on=("main",))
            report = await one.run(plan(first, last))
            assert report.complete
            assert await one.outputs("aggregate") == [b"".join(f"{number:03},".encode() for number in range(300))]

    asyncio.run(scenario())


def test_each_module_is_compiled_by_one_member_and_given_to_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.02), members=4) as one:
            await one.run(plan(stage(CountInput(count=40))))
            prepares = [prepare for member in one.members for prepare in member.prepares]
            assert [prepare.share for prepare in prepares].count(True) == 1
            assert len({prepare.code for prepare in prepares if not prepare.share}) == 1

    asyncio.run(scenario())


def test_the_member_of_the_coordinator_itself_is_not_given_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.3), members=4) as one:
            home = one.members[0].name
            one.surroundings = replace(one.surroundings, home=home)
            last = stage(StageInput(stages=("main",), gather=True), name="last", depends_on=("main",))
            report = await one.run(plan(stage(CountInput(count=4)), last))
            assert report.complete
            assert one.fabric.given_back
            assert home not in one.fabric.given_back

    asyncio.run(scenario())


def test_a_fabric_that_began_anew_is_told_again_how_many_members_are_wanted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.1), members=1) as one, asyncio.timeout(30):

            async def forget(coordinator: Coordinator) -> None:
                await until(lambda: (coordinator.progress().workers, one.fabric.wanted) == (1, 4))
                await one.fabric.begin_anew()
                await until(lambda: one.fabric.wanted == 4)

            assert (await one.run(plan(stage(CountInput(count=40))), forget)).complete

    asyncio.run(scenario())
