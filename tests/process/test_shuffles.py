"""What a shuffle promises, on scripted members: who reads what, and what becomes of it when its store is lost."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.coordinator import partition_stores
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import StageState
from tasklet_runner.plan.types import LeaseTerms, Medium, StageInput
from tasklet_runner.wire.errors import PoolEmptyError, UnsupportedError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Task
from tasklet_runner.wire.work import Grant
from tests.support.runs import plan, rig, stage
from tests.support.scripted_shuffles import Shelves, everything, items, many, mapped, reduced, shuffle_plan, soon


def test_each_partition_is_one_chunk_of_the_reader_in_order_of_the_mappers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Shelves(3).script()) as one:
            report = await one.run(shuffle_plan(many(40), 3))
            assert report.complete, report.message
            assert await one.outputs("reduce") == [everything(partition, 40) for partition in range(3)]
            assert [progress.state for progress in report.progress.stages] == [StageState.SUCCEEDED] * 2

    asyncio.run(scenario())


def test_several_shuffled_stages_are_read_in_the_order_of_from(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Shelves(2).script()) as one:
            left, right = mapped(items("b", "c")), mapped(items("a"))
            right = msgspec.structs.replace(right, name="right")
            join = reduced("join", ("right", "map"))
            report = await one.run(plan(left, right, join, waves=(("map", "right"), ("join",))))
            assert report.complete, report.message
            assert await one.outputs("join") == [b"0:a;0:b;0:c;", b"1:a;1:b;1:c;"]

    asyncio.run(scenario())


def test_a_gather_over_readers_of_a_shuffle_gets_their_outputs_in_order_of_partitions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Shelves(2).script()) as one:
            last = stage(StageInput(stages=("reduce",), gather=True), name="last", depends_on=("reduce",))
            report = await one.run(plan(mapped(items("a", "b")), reduced(), last))
            assert report.complete, report.message
            assert await one.outputs("last") == [b"0:a;0:b;1:a;1:b;"]

    asyncio.run(scenario())


def test_the_store_is_given_back_when_its_last_reader_is_done_and_counts_in_timeline_and_receipts(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Shelves(2).script()) as one:
            report = await one.run(shuffle_plan(many(3)))
            assert {name for receipt in report.receipts for name in receipt.members} >= {"store-1", "member-0"}
            assert one.fabric.held == 0
            (order,) = [lease.request for lease in one.fabric.leases.values() if lease.request.resource != "CPU"]
            assert (order.resource, order.size, order.on_empty, order.count) == ("Memory", 1 << 20, "Provision", 1)
            assert order.purpose == "shuffle of map of job test"
            assert max(point.leased for point in report.timeline) >= 2

    asyncio.run(scenario())


@pytest.mark.unhappy("partitions without a single key, and a stage without chunks")
def test_an_empty_partition_is_an_empty_chunk_and_an_empty_stage_makes_only_those(tmp_path: Path) -> None:
    def parts(task: Task) -> dict[int, bytes]:
        return {1: task.input} if task.input == b"b" else {}

    async def scenario(values: tuple[str, ...]) -> list[bytes]:
        (tmp_path / str(len(values))).mkdir()
        async with rig(tmp_path / str(len(values)), Shelves(3, parts=parts).script()) as one:
            report = await one.run(shuffle_plan(items(*values), 3))
            assert report.complete, report.message
            return await one.outputs("reduce")

    assert asyncio.run(scenario(("a", "b"))) == [b"", b"b", b""]
    assert asyncio.run(scenario(("a",))) == [b"", b"", b""]
    assert asyncio.run(scenario(())) == [b"", b"", b""]


@pytest.mark.unhappy("a mapper whose put failed: what its first attempt wrote is never read")
def test_only_the_committed_attempt_of_a_mapper_is_read(tmp_path: Path) -> None:
    shelves = Shelves(2)
    refused: list[Grant] = []

    def before_put(grant: Grant) -> Fault | None:
        if refused:
            return None
        refused.append(grant)
        # Half of it was written when the member died.
        shelves.objects.setdefault(grant.endpoint, {})[f"{grant.key_prefix}/part-0"] = b"half;"
        return Fault(kind=FaultKind.DISCONNECTED, message="cut off")

    async def scenario() -> None:
        shelves.before_put = before_put
        async with rig(tmp_path, shelves.script()) as one:
            report = await one.run(shuffle_plan(many(4)))
            assert report.complete, report.message
            assert await one.outputs("reduce") == [everything(0, 4), everything(1, 4)]
            assert report.progress.stages[0].retried == 1

    asyncio.run(scenario())


@pytest.mark.unhappy("a store that is full: the stage fails, and says which store and how to enlarge it")
def test_a_full_store_fails_the_stage_with_the_field_to_enlarge(tmp_path: Path) -> None:
    full = Fault(kind=FaultKind.IO_ERROR, message="the store is full: 9 of 10 bytes are used and 3 more are wanted")

    async def scenario() -> None:
        async with rig(tmp_path, Shelves(2, before_put=lambda _: full).script()) as one:
            report = await one.run(shuffle_plan(many(9)))
            assert (report.complete, report.reason) == (False, "ChunksFailed")
            assert "the store of map's partitions (1,048,576 bytes) takes no more: the store is full" in report.message
            assert "enlarge tasks[map].shuffle.size" in report.message
            assert report.progress.stages[1].state is StageState.SKIPPED
            assert one.fabric.held == 0

    asyncio.run(scenario())


@pytest.mark.unhappy("the member of a Memory lease is killed while its partitions are read: they are produced again")
def test_a_store_that_is_lost_while_it_is_read_is_filled_again_and_what_was_read_stays(tmp_path: Path) -> None:
    shelves = Shelves(4)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script(), members=1) as one:
            gate = asyncio.Event()

            def before_fetch(task: Task) -> Fault | None:
                if shelves.reduces < 2 or gate.is_set():
                    return None
                return Fault(kind=FaultKind.DISCONNECTED, message="the store does not answer")

            shelves.before_fetch = before_fetch

            async def lose(_: Coordinator) -> None:
                await soon(lambda: shelves.reduces >= 2)
                shelves.objects.clear()
                await one.fabric.take_store()
                gate.set()

            report = await one.run(shuffle_plan(many(12), 4), lose)
            assert report.complete, report.message
            assert await one.outputs("reduce") == [everything(partition, 12) for partition in range(4)]
            assert (shelves.maps, shelves.reduces) == (24, 4)
            (notice,) = [text for text in report.progress.notices if "run again" in text]
            assert notice.startswith("the store of map's partitions was lost: its 12 chunks run again")
            assert report.progress.stages[0].succeeded == 12
            assert len(report.receipts) == 3

    asyncio.run(scenario())


@pytest.mark.unhappy("the member of a Memory lease is killed while mappers write into it")
def test_a_store_that_is_lost_while_it_is_written_costs_another_production(tmp_path: Path) -> None:
    shelves = Shelves(2)
    lost: list[int] = []

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script()) as one:

            def before_put(_: Grant) -> Fault | None:
                if len(lost) == 5:
                    task = asyncio.get_running_loop().create_task(one.fabric.take_store())
                    task.add_done_callback(lambda _: shelves.objects.clear())
                lost.append(1)
                return None

            shelves.before_put = before_put
            report = await one.run(shuffle_plan(many(30)))
            assert report.complete, report.message
            assert await one.outputs("reduce") == [everything(0, 30), everything(1, 30)]
            assert any("its 30 chunks run again" in text for text in report.progress.notices)

    asyncio.run(scenario())


@pytest.mark.unhappy("a store that is lost again and again fails its stage")
def test_after_three_losses_the_stage_fails_with_the_cause(tmp_path: Path) -> None:
    shelves = Shelves(2)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script()) as one:

            def before_fetch(_: Task) -> Fault | None:
                shelves.objects.clear()
                task = asyncio.get_running_loop().create_task(one.fabric.take_store())
                taking.add(task)
                return Fault(kind=FaultKind.DISCONNECTED, message="the store does not answer")

            taking: set[asyncio.Task[None]] = set()
            shelves.before_fetch = before_fetch
            report = await one.run(shuffle_plan(many(5)))
            await asyncio.gather(*taking)
            assert (report.complete, report.reason) == (False, "ChunksFailed")
            assert "the store of map's partitions was lost 3 times: its member store-3 is gone" in report.message
            assert [progress.state for progress in report.progress.stages] == [StageState.FAILED] * 2
            assert one.fabric.held == 0

    asyncio.run(scenario())


@pytest.mark.unhappy("the member of a Block lease is killed: its successor on the volume goes on at the next epoch")
def test_a_block_store_goes_on_with_the_next_member_and_its_epoch(tmp_path: Path) -> None:
    shelves = Shelves(2, volume=True)
    replacing: list[asyncio.Task[None]] = []

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script()) as one:

            def before_put(grant: Grant) -> Fault | None:
                if len(shelves.put_terms) < 5 or replacing:
                    return None
                replacing.append(asyncio.get_running_loop().create_task(one.fabric.take_store(follow=True)))
                return Fault(kind=FaultKind.DISCONNECTED, message="the store does not answer")

            shelves.before_put = before_put
            report = await one.run(shuffle_plan(many(30), medium=Medium.BLOCK))
            await asyncio.gather(*replacing)
            assert report.complete, report.message
            assert await one.outputs("reduce") == [everything(0, 30), everything(1, 30)]
            assert set(shelves.put_terms) == {1, 2}
            assert not [text for text in report.progress.notices if "run again" in text]

    asyncio.run(scenario())


def test_the_store_is_shown_each_renewal_of_its_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Shelves(2).script()) as one:
            one.members[0].script.seconds_per_task = one.members[1].script.seconds_per_task = 1.2
            first = mapped(many(2), lease=LeaseTerms(ttl_seconds=1))
            report = await one.run(plan(first, reduced(lease=LeaseTerms(ttl_seconds=1))))
            assert report.complete, report.message
            assert len({capability for name, capability in one.fabric.shown if name == "store-1"}) > 1

    asyncio.run(scenario())


@pytest.mark.unhappy("a store that is leased, but does not answer for a while: nobody is sent there meanwhile")
def test_a_store_that_does_not_answer_for_a_while_costs_no_chunk_its_retries_and_is_spoken_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_stores, "SAID_AFTER_SECONDS", 0.0)
    shelves = Shelves(2)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script()) as one:

            def before_fetch(_: Task) -> Fault | None:
                if healed.is_set():
                    return None
                one.fabric.silent.add("store-1")
                return Fault(kind=FaultKind.DISCONNECTED, message="the store does not answer")

            async def heal(coordinator: Coordinator) -> None:
                await soon(lambda: coordinator.progress().stages[1].retried)
                await soon(lambda: "does not answer at store-1" in coordinator.progress().waiting_because)
                # Longer than all retries of a chunk last.
                await asyncio.sleep(1.0)
                healed.set()
                one.fabric.silent.clear()

            healed = asyncio.Event()
            shelves.before_fetch = before_fetch
            report = await one.run(shuffle_plan(many(4)), heal)
            assert report.complete, report.message
            assert report.progress.stages[1].retried <= 4

    asyncio.run(scenario())


@pytest.mark.unhappy("a store that is leased, but never answers again")
def test_a_store_that_never_answers_again_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_stores, "UNREACHABLE_SECONDS", 0.2)
    shelves = Shelves(2)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script()) as one:

            def before_fetch(task: Task) -> Fault | None:
                if "store-1" in task.fetch[0].endpoint:
                    return Fault(kind=FaultKind.DISCONNECTED, message="the store does not answer")
                return None

            one.fabric.silent.add("store-1")
            shelves.before_fetch = before_fetch
            report = await one.run(shuffle_plan(many(4)))
            assert report.complete, report.message
            assert any("its member store-1 cannot be used any more" in text for text in report.progress.notices)

    asyncio.run(scenario())


def test_mappers_run_while_their_store_is_still_awaited_and_the_wait_is_said(tmp_path: Path) -> None:
    shelves = Shelves(2)

    async def scenario() -> None:
        async with rig(tmp_path, shelves.script()) as one:
            one.fabric.refused_stores = [PoolEmptyError("no store is ready") for _ in range(2)]

            async def look(coordinator: Coordinator) -> None:
                await soon(lambda: shelves.maps == 3)
                await soon(lambda: "no store is ready" in coordinator.progress().waiting_because)
                assert shelves.put_terms == []

            assert (await one.run(shuffle_plan(many(3)), look)).complete

    asyncio.run(scenario())


def test_a_store_that_is_long_in_coming_is_spoken_of_though_the_fabric_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_stores, "SAID_AFTER_SECONDS", 0.0)

    async def scenario() -> None:
        async with rig(tmp_path, Shelves(2).script()) as one:
            one.fabric.stores_come.clear()

            async def look(coordinator: Coordinator) -> None:
                words = "the store of map's partitions is not there yet"
                await soon(lambda: words in coordinator.progress().waiting_because)
                one.fabric.stores_come.set()

            assert (await one.run(shuffle_plan(many(3)), look)).complete

    asyncio.run(scenario())


def test_a_store_that_no_pool_can_ever_give_fails_its_stage(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Shelves(2).script()) as one:
            one.fabric.refused_stores = [UnsupportedError("no pool has Memory members", remedy="make one")]
            report = await one.run(shuffle_plan(many(3)))
            assert (report.complete, report.reason) == (False, "NoCapacity")
            assert "no pool has Memory members (make one)" in report.message

    asyncio.run(scenario())
