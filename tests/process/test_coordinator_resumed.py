"""What a coordinator makes of the store that a dead one has left, on scripted members."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.plan.chunks import chunk_id
from tasklet_runner.plan.types import CountInput, Item, ItemsInput, RetryPolicy, Source
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.wire.faults import Fault, FaultKind
from tests.support.runs import TASKLET, plan, rig, stage

ITEMS = ItemsInput(items=tuple(Item(value=value) for value in "abc"))


def done(index: int, data: bytes, fault: Fault | None = None) -> CommitRecord:
    """What a dead coordinator has committed of a chunk, as its second attempt."""
    objects = () if fault else ("stdout",)
    return CommitRecord(
        stage="main", index=index, attempt=2, chunk_id=chunk_id(index, data), objects=objects, fault=fault
    )


@pytest.mark.unhappy(
    "a coordinator died between the put of an output and its commit: other bytes are there by its name"
)
def test_outputs_that_nobody_committed_are_in_nobodys_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            left = [NewObject(f"main/{index}/1/stdout", b"of a dead run") for index in range(3)]
            await one.store.write(left, [])
            report = await one.run(plan(stage(ITEMS, retry=RetryPolicy(max_retries=0))))
            assert report.complete, report.message
            assert await one.outputs() == [b"a", b"b", b"c"]
            assert await one.store.used_bytes() == 3

    asyncio.run(scenario())


def test_what_an_earlier_run_did_is_counted_as_resumed_and_not_run(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            await one.store.write([NewObject("main/1/2/stdout", b"kept")], [done(1, b"b")])
            report = await one.run(plan(stage(ITEMS)))
            (progress,) = report.progress.stages
            assert (progress.resumed, progress.succeeded, progress.total) == (1, 3, 3)
            assert report.progress.generation == one.surroundings.term
            assert await one.outputs() == [b"a", b"kept", b"c"]
            assert sorted(index for member in one.members for index, _ in member.ran) == [0, 2]

    asyncio.run(scenario())


def test_chunks_that_failed_in_an_earlier_run_are_told_again(tmp_path: Path) -> None:
    fault = Fault(kind=FaultKind.EXIT_CODE, message="exited with 3", exit_code=3)

    async def scenario() -> None:
        async with rig(tmp_path) as one:
            await one.store.write([], [done(1, b"b", fault)])
            report = await one.run(plan(stage(ITEMS)))
            assert (report.complete, report.reason) == (False, "ChunksFailed")
            (failure,) = report.failures
            assert (failure.index, failure.attempts, failure.fault) == (1, 2, fault)

    asyncio.run(scenario())


@pytest.mark.unhappy("an input that was changed between a run and its continuation")
@pytest.mark.parametrize(
    ("committed", "said"),
    [
        pytest.param(
            done(1, b"B"), "chunk 1 of main, .* has another input now", id="the input of a done chunk changed"
        ),
        pytest.param(done(7, b"h"), "chunk 7 of main, .* is not in its input any more", id="it was cut short"),
    ],
)
def test_a_changed_input_is_refused_with_the_remedy(committed: CommitRecord, said: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            await one.store.write([NewObject(committed.key(), b"x")], [committed])
            report = await one.run(plan(stage(ITEMS)))
            assert (report.complete, report.reason) == (False, "InvalidInput")
            assert re.search(said, report.message), report.message
            assert "--restart" in report.message

    asyncio.run(scenario())


@pytest.mark.unhappy("a module that is fetched from elsewhere is another one when its job goes on")
def test_a_program_with_other_content_is_refused_where_chunks_are_done(tmp_path: Path) -> None:
    other = msgspec.structs.replace(TASKLET, source=Source(inline="another"))

    async def scenario() -> None:
        async with rig(tmp_path) as one:

            async def stop(coordinator: Coordinator) -> None:
                coordinator.stop("Interrupted")

            await one.run(plan(stage(ITEMS)), stop)
            assert (await one.run(plan(stage(ITEMS, tasklet=other)))).complete, "nothing was done by the first"
            report = await one.run(plan(stage(ITEMS)))
            assert (report.complete, report.reason) == (False, "InvalidInput")
            assert "what main runs is not what it ran" in report.message

    asyncio.run(scenario())


def test_a_run_whose_chunks_are_all_done_ends_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=0) as one:
            commits = [done(index, b"") for index in range(3)]
            await one.store.write([NewObject(commit.key(), b"x") for commit in commits], commits)

            async def watch(coordinator: Coordinator) -> None:
                assert coordinator.progress().generation == 1

            report = await one.run(plan(stage(CountInput(count=3))), watch)
            assert report.complete, report.message
            assert report.progress.stages[0].resumed == 3

    asyncio.run(scenario())
