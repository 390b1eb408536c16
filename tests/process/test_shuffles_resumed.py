"""What a run finds of a shuffle that an earlier run of the same job began, on scripted members."""

import asyncio
from pathlib import Path

import pytest

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.wire.faults import Fault, FaultKind
from tests.support.runs import Rig, rig
from tests.support.scripted_shuffles import Shelves, everything, items, many, shuffle_plan, soon


async def interrupted(one: Rig, shelves: Shelves, reduces: int) -> None:
    """A run that is stopped when so many partitions were read."""

    async def stop(coordinator: Coordinator) -> None:
        await soon(lambda: sum(part.succeeded for part in coordinator.progress().stages[1:]) >= reduces)
        coordinator.stop("Interrupted")

    waiting = Fault(kind=FaultKind.DISCONNECTED, message="not yet")
    shelves.before_fetch = lambda _: waiting if shelves.reduces >= reduces else None
    assert (await one.run(shuffle_plan(many(6), 4), stop)).reason == "Interrupted"
    shelves.before_fetch = lambda _: None
    shelves.objects.clear()


@pytest.mark.unhappy("a run that was interrupted between map and reduce")
def test_a_resumed_run_produces_the_partitions_again_as_long_as_a_reader_needs_them(tmp_path: Path) -> None:
    shelves = Shelves(4)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script(), members=1) as one:
            await interrupted(one, shelves, 2)
            report = await one.run(shuffle_plan(many(6), 4))
            assert report.complete, report.message
            assert (shelves.maps, shelves.reduces) == (12, 4)
            assert await one.outputs("reduce") == [everything(partition, 6) for partition in range(4)]

    asyncio.run(scenario())


def test_a_resumed_run_whose_readers_are_done_runs_nothing(tmp_path: Path) -> None:
    shelves = Shelves(4)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script()) as one:
            await one.run(shuffle_plan(many(6), 4))
            report = await one.run(shuffle_plan(many(6), 4))
            assert report.complete, report.message
            assert (shelves.maps, shelves.reduces) == (6, 4)
            assert [progress.succeeded for progress in report.progress.stages] == [6, 4]

    asyncio.run(scenario())


@pytest.mark.unhappy("an input that was edited between a run and its continuation")
def test_partitions_of_edited_inputs_are_never_mixed_with_those_of_an_earlier_run(tmp_path: Path) -> None:
    shelves = Shelves(4)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script(), members=1) as one:
            await interrupted(one, shelves, 2)
            report = await one.run(shuffle_plan(items(*"abcdef"), 4))
            assert (report.complete, report.reason) == (False, "InvalidInput")

    asyncio.run(scenario())
