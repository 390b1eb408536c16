"""However a run ends: leases released, the reason said, results kept."""

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import Phase
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.plan.chunks import chunk_id
from tasklet_runner.plan.types import CacheSettings, CountInput, Item, ItemsInput
from tasklet_runner.store.cache import ResultCache
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.wire.errors import StoreError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome, OutputFile, Task
from tasklet_runner.wire.work import Grant, Stored
from tests.support.runs import plan, rig, stage
from tests.support.scripted_member import Script, echo

CACHE = CacheSettings(name="test", size=1 << 20, retain_seconds=60)


@pytest.mark.parametrize("after", [0.0, 0.01, 0.1, 0.4], ids=["at once", "preparing", "early", "running"])
def test_a_stopped_run_releases_everything_and_says_what_is_done(tmp_path: Path, after: float) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.02)) as one:

            async def stop(coordinator: Coordinator) -> None:
                await asyncio.sleep(after)
                coordinator.stop("Interrupted")

            report = await one.run(plan(stage(CountInput(count=10_000))), stop)
            assert (report.complete, report.reason) == (False, "Interrupted")
            assert report.progress.phase is Phase.STOPPED
            assert one.fabric.held == 0
            assert len(report.receipts) == len(one.fabric.leases)

    asyncio.run(scenario())


def test_a_run_that_waits_for_capacity_can_be_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=0) as one:

            async def stop(coordinator: Coordinator) -> None:
                await asyncio.sleep(0.2)
                coordinator.stop("Interrupted")

            assert (await one.run(plan(), stop)).reason == "Interrupted"

    asyncio.run(scenario())


def test_a_run_ends_at_its_active_deadline(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.05)) as one:
            report = await one.run(plan(stage(CountInput(count=10_000)), active_deadline_seconds=1))
            assert report.reason == "DeadlineExceeded"
            assert one.fabric.held == 0

    asyncio.run(scenario())


def test_a_store_that_fails_ends_the_run_with_its_message(tmp_path: Path) -> None:
    class FullStore(DiskStore):
        async def write(self, objects: Sequence[NewObject], commits: Sequence[CommitRecord]) -> int:
            raise StoreError("the store is full", remedy="enlarge spec.output.size")

    async def scenario() -> None:
        async with rig(tmp_path) as one:
            full = FullStore.open(tmp_path / "full", uid="full", quota_bytes=1, term=1)
            coordinator = Coordinator(plan(), _with_store(one.surroundings, full))
            report = await coordinator.run()
            assert report.reason == "StoreUnavailable"
            assert "enlarge spec.output.size" in report.message
            assert one.fabric.held == 0
            await full.close()

    asyncio.run(scenario())


def _with_store(surroundings: Surroundings, store: DiskStore) -> Surroundings:
    return dataclasses.replace(surroundings, store=store)


def test_files_of_a_chunk_stand_beside_its_stdout(tmp_path: Path) -> None:
    def run(task: Task) -> Outcome:
        return Outcome(stdout=b"out", files=(OutputFile("sub/file", b"content"),))

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=run)) as one:
            await one.run(plan())
            assert one.commits["main"][0].objects == ("stdout", "out/sub/file")
            assert await one.output(0, suffix="out/sub/file") == b"content"

    asyncio.run(scenario())


def test_a_large_output_is_granted_to_the_member_and_then_committed(tmp_path: Path) -> None:
    grants: list[Grant] = []

    def put(grant: Grant) -> Stored:
        grants.append(grant)
        return Stored(grant.index, grant.attempt, ("stdout", "out/large"), 100_000)

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=lambda _: Outcome(held_bytes=100_000), put=put)) as one:
            report = await one.run(plan(stage(CountInput(count=2))))
            assert report.complete
            assert sorted(grant.key_prefix for grant in grants) == ["main/0/1", "main/1/1"]
            assert one.commits["main"][0].objects == ("stdout", "out/large")

    asyncio.run(scenario())


def test_an_output_that_cannot_be_put_is_tried_again(tmp_path: Path) -> None:
    failed: list[int] = []

    def put(grant: Grant) -> Stored:
        if not failed:
            failed.append(grant.index)
            return Stored(grant.index, grant.attempt, fault=Fault(kind=FaultKind.DISCONNECTED, message="no store"))
        return Stored(grant.index, grant.attempt)

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=lambda _: Outcome(held_bytes=100_000), put=put)) as one:
            retry = msgspec.structs.replace(plan().stages[0].retry, initial_backoff_milliseconds=10)
            report = await one.run(plan(stage(CountInput(count=1), retry=retry)))
            assert report.complete
            assert one.commits["main"][0].attempt == 2

    asyncio.run(scenario())


def test_what_is_in_the_cache_is_not_run_again(tmp_path: Path) -> None:
    ran: list[str] = []

    def run(task: Task) -> Outcome:
        ran.append(task.input.decode())
        return echo(task)

    async def open_cache(settings: CacheSettings) -> ResultCache:
        return await ResultCache.open(tmp_path / "cache", settings)

    async def scenario(place: str, *values: str) -> int:
        (tmp_path / place).mkdir()
        async with rig(tmp_path / place, Script(run=run)) as one:
            one.surroundings = dataclasses.replace(one.surroundings, open_cache=open_cache)
            given = ItemsInput(items=tuple(Item(value=value) for value in values))
            report = await one.run(plan(stage(given, cache=CACHE)))
            assert await one.outputs() == [value.encode() for value in values]
            return report.progress.stages[0].cached

    assert asyncio.run(scenario("first", "a", "b")) == 0
    assert asyncio.run(scenario("second", "b", "c", "a")) == 2
    assert sorted(ran) == ["a", "b", "c"]


def test_a_cache_that_cannot_be_opened_costs_only_time(tmp_path: Path) -> None:
    async def open_cache(settings: CacheSettings) -> ResultCache:
        raise StoreError("the cache is broken", remedy="delete it")

    async def scenario() -> None:
        async with rig(tmp_path) as one:
            one.surroundings = dataclasses.replace(one.surroundings, open_cache=open_cache)
            report = await one.run(plan(stage(CountInput(count=2), cache=CACHE)))
            assert report.complete
            assert "the cache is broken" in report.progress.notices[0]

    asyncio.run(scenario())


def done_before(index: int, data: bytes = b"") -> CommitRecord:
    return CommitRecord("main", index, 1, chunk_id(index, data), objects=())


def test_chunks_that_an_earlier_run_committed_are_not_run_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            await one.store.write([], [done_before(index) for index in range(90)])
            report = await one.run(plan(stage(CountInput(count=100))))
            assert report.progress.stages[0].succeeded == 100
            assert sum(len(member.ran) for member in one.members) == 10

    asyncio.run(scenario())


def test_an_input_that_changed_since_the_earlier_run_is_never_mixed_with_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            await one.store.write([], [done_before(0, b"old")])
            report = await one.run(plan(stage(ItemsInput(items=(Item(value="new"),)))))
            assert (report.complete, report.reason) == (False, "InvalidInput")
            assert "chunk 0" in report.message

    asyncio.run(scenario())
