"""Stages of a wave side by side, and waves one after another."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import StageState
from tasklet_runner.plan.types import CountInput, Item, ItemsInput, Plan, StageInput
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome, Task
from tests.support.runs import TASKLET, plan, rig, stage
from tests.support.scripted_member import Script, echo
from tests.support.scripted_shuffles import soon


def chain(length: int) -> Plan:
    """Stages that each read the one before, all of one tasklet."""
    first = stage(ItemsInput(items=(Item(value="x"),)), name="s0")
    rest = [
        stage(
            StageInput(stages=(f"s{number - 1}",), gather=number % 2 == 0),
            name=f"s{number}",
            depends_on=(f"s{number - 1}",),
        )
        for number in range(1, length)
    ]
    return plan(first, *rest)


def test_stages_of_a_wave_share_the_slots_also_when_one_has_many_more_chunks(tmp_path: Path) -> None:
    order: list[str] = []

    def run(task: Task) -> Outcome:
        order.append(task.input.decode())
        return echo(task)

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=run, seconds_per_task=0.12), members=2) as one:
            many = stage(ItemsInput(items=tuple(Item(value="many") for _ in range(20))), name="many")
            few = stage(ItemsInput(items=tuple(Item(value="few") for _ in range(3))), name="few")
            assert (await one.run(plan(many, few, waves=(("many", "few"),)))).complete
            assert order.index("few") < 4
            assert max(index for index, name in enumerate(order) if name == "few") < 12

    asyncio.run(scenario())


def test_members_prepare_a_program_once_for_all_stages_that_run_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=1) as one:
            report = await one.run(chain(14))
            assert report.complete
            assert await one.outputs("s13") == [b"x"]
            assert len(one.members[0].prepares) == 1

    asyncio.run(scenario())


def test_the_program_of_the_next_wave_is_prepared_while_this_one_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.05), members=1) as one:
            prepared: list[int] = []

            def run(task: Task) -> Outcome:
                prepared.append(len(one.members[0].prepares))
                return echo(task)

            one.members[0].script.run = run
            other = msgspec.structs.replace(TASKLET, name="other")
            last = stage(StageInput(stages=("main",), gather=True), name="last", depends_on=("main",), tasklet=other)
            assert (await one.run(plan(stage(CountInput(count=20)), last))).complete
            assert prepared[19] == 2

    asyncio.run(scenario())


def test_members_that_the_next_wave_can_use_are_not_given_back_between_two_waves(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=3) as one:
            wide = [stage(CountInput(count=12), name=f"s{number}") for number in range(4)]
            assert (await one.run(plan(*wide))).complete
            assert len(one.fabric.leases) == 1
            assert all(member.epoch == 1 for member in one.members)

    asyncio.run(scenario())


def test_members_that_the_next_wave_can_use_are_given_back_all_the_same_while_one_chunk_takes_long(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=3) as one:

            async def look(coordinator: Coordinator) -> None:
                one.members[0].script = Script(seconds_per_task=60)
                await soon(lambda: sorted(one.fabric.given_back) == ["member-1", "member-2"])
                coordinator.stop("Seen")

            wide = [stage(CountInput(count=3), name=f"s{number}") for number in range(2)]
            assert (await one.run(plan(*wide), look)).reason == "Seen"

    asyncio.run(scenario())


@pytest.mark.unhappy("the program of a later wave cannot be prepared: the waves before it still run")
def test_a_program_that_was_refused_ahead_of_its_wave_fails_its_own_stage_alone(tmp_path: Path) -> None:
    fault = Fault(kind=FaultKind.BAD_MODULE, message="no _start", remedy="build a command")

    async def scenario() -> None:
        async with rig(tmp_path, Script(refused={"other": fault}), members=1) as one:
            other = msgspec.structs.replace(TASKLET, name="other")
            last = stage(StageInput(stages=("main",), gather=True), name="last", depends_on=("main",), tasklet=other)
            report = await one.run(plan(stage(CountInput(count=50)), last))
            assert [progress.state for progress in report.progress.stages] == [StageState.SUCCEEDED, StageState.FAILED]
            assert "the inline source of last: no _start (build a command)" in report.message

    asyncio.run(scenario())


@pytest.mark.unhappy("a stage in the middle of a graph fails: what needs it is skipped, the rest finishes")
def test_a_failed_stage_skips_all_that_need_it_and_nothing_else(tmp_path: Path) -> None:
    def run(task: Task) -> Outcome:
        return Outcome(fault=Fault(kind=FaultKind.TRAPPED, message="boom")) if task.input == b"bad" else echo(task)

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=run)) as one:
            bad = stage(ItemsInput(items=(Item(value="bad"),)), name="bad")
            good = stage(CountInput(count=3), name="good")
            after_bad = stage(StageInput(stages=("bad",)), name="after-bad", depends_on=("bad",))
            after_all = stage(StageInput(stages=("good",)), name="after-all", depends_on=("good", "after-bad"))
            after_good = stage(StageInput(stages=("good",)), name="after-good", depends_on=("good",))
            stages = (bad, good, after_bad, after_good, after_all)
            waves = (("bad", "good"), ("after-bad", "after-good"), ("after-all",))
            report = await one.run(plan(*stages, waves=waves))
            states = {progress.name: progress.state.value for progress in report.progress.stages}
            assert states == {
                "bad": "Failed",
                "good": "Succeeded",
                "after-bad": "Skipped",
                "after-good": "Succeeded",
                "after-all": "Skipped",
            }
            assert (report.complete, report.reason) == (False, "ChunksFailed")

    asyncio.run(scenario())
