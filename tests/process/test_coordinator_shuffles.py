"""Shuffles on real members of this machine: mappers, readers and stores are processes, and are killed as such."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import StageState
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.plan.types import Item, ItemsInput, Medium, Plan, Stage, StageInput
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.work import Grant, Run, Stored, ToHolder, ToMember
from tests.support import wat
from tests.support.local_runs import kill, local_runs, until
from tests.support.shuffled_plans import MEBIBYTE, divided, lines, mapper, planned, reader, shuffled


@pytest.mark.smoke
@pytest.mark.parametrize("medium", list(Medium))
def test_each_key_comes_to_one_reader_and_nothing_is_left_of_the_store(tmp_path: Path, medium: Medium) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 6)
            report = await one.run(shuffled(one, given, medium=medium))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 4)
            assert all(receipt.unverified == () for receipt in report.receipts)
            assert one.fabric.statistics().leases == 0
            assert [progress.state for progress in report.progress.stages] == [StageState.SUCCEEDED] * 2
            assert list((tmp_path / "state" / "stores").glob("*")) == []
            assert report.timeline[-1].leased == 0

    asyncio.run(story())


@pytest.mark.unhappy("one hot key that has 90 % of the data")
def test_a_hot_key_comes_whole_to_one_reader(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            hot = "hot\t" + "x" * 1000 + "\n"
            given = ItemsInput(items=tuple(Item(value=hot * 180 + f"cold {n}\tx\n" * 10) for n in range(8)))
            report = await one.run(shuffled(one, given))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 4)

    asyncio.run(story())


@pytest.mark.unhappy("no mapper at all, one alone, and mappers that write nothing")
@pytest.mark.parametrize("values", [(), ("a\tb\n",), ("", "a", "")], ids=["none", "one", "empty outputs"])
def test_few_or_no_outputs_make_as_many_readers_all_the_same(tmp_path: Path, values: tuple[str, ...]) -> None:
    async def story() -> None:
        async with local_runs(tmp_path, workers=1) as one:
            given = ItemsInput(items=tuple(Item(value=value) for value in values))
            report = await one.run(shuffled(one, given))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 4)
            assert report.progress.stages[1].succeeded == 4

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of a mapper after half of its partitions were written: only its next attempt is read")
def test_a_mapper_that_dies_while_it_writes_its_partitions_is_run_again(tmp_path: Path) -> None:
    victims: dict[str, int] = {}

    def sends(member: LeasedMember, message: ToMember) -> None:
        if isinstance(message, Grant) and not victims:
            victims[member.name] = message.index
            asyncio.get_running_loop().call_later(0.005, kill, member.endpoint)

    def hears(member: LeasedMember, message: ToHolder) -> bool:
        # Had it been quicker than the signal, the coordinator would still not know of it.
        return isinstance(message, Stored) and member.name in victims

    async def story() -> None:
        async with local_runs(tmp_path) as one:
            one.wire.sends, one.wire.hears = sends, hears
            given = lines(40_000, 4)
            report = await one.run(shuffled(one, given))
            assert report.complete, report.message
            assert len(victims) == 1
            assert await one.outputs("reduce") == divided(given, 4)

    asyncio.run(story())


@pytest.mark.unhappy("a mapper that was given up writes late: while readers read, and after the store was given back")
def test_what_a_fenced_mapper_writes_late_is_never_read_and_then_refused(tmp_path: Path) -> None:
    grants: list[Grant] = []
    late: list[asyncio.Task[object]] = []

    async def write(grant: Grant) -> None:
        objects = [(f"{grant.key_prefix}/part-{number}", b"late\tand wrong\n") for number in range(4)]
        async with StoreConnections() as stores:
            await stores.put_batch(grant.endpoint, grant.grant, objects)

    def sends(_: LeasedMember, message: ToMember) -> None:
        if isinstance(message, Grant) and not grants:
            grants.append(message)
        if isinstance(message, Run) and message.tasks[0].fetch and not late:
            late.append(asyncio.get_running_loop().create_task(write(grants[0])))

    def hears(member: LeasedMember, message: ToHolder) -> bool:
        given_up = isinstance(message, Stored) and [(message.index, message.attempt)] == [
            (grant.index, grant.attempt) for grant in grants
        ]
        if given_up:
            kill(member.endpoint)
        return given_up

    async def story() -> None:
        async with local_runs(tmp_path) as one:
            one.wire.sends, one.wire.hears = sends, hears
            given = lines(50, 4)
            report = await one.run(shuffled(one, given, slow=100))
            assert report.complete, report.message
            await asyncio.gather(*late, return_exceptions=True)
            assert await one.outputs("reduce") == divided(given, 4)
            with pytest.raises(LeaseGridError):
                await write(grants[0])

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of a reader: its partition is read again elsewhere")
def test_a_reader_that_dies_costs_only_its_own_partition(tmp_path: Path) -> None:
    killed: list[str] = []

    def sends(member: LeasedMember, message: ToMember) -> None:
        if isinstance(message, Run) and message.tasks[0].fetch and not killed:
            killed.append(member.name)
            asyncio.get_running_loop().call_later(0.02, kill, member.endpoint)

    async def story() -> None:
        async with local_runs(tmp_path) as one:
            one.wire.sends = sends
            given = lines(50, 4)
            report = await one.run(shuffled(one, given, slow=100))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 4)
            assert report.progress.stages[0].succeeded == 4
            assert not report.progress.notices

    asyncio.run(story())


def after_readers(count: int, act: Callable[[], None]) -> Callable[[LeasedMember, ToMember], None]:
    """Does it once, just before the reader of that number is sent its partition."""
    seen: list[str] = []

    def sends(member: LeasedMember, message: ToMember) -> None:
        if isinstance(message, Run) and message.tasks[0].fetch:
            seen.append(member.name)
            if len(seen) == count:
                act()

    return sends


@pytest.mark.unhappy("SIGKILL of the member that holds the partitions in memory, while they are read")
def test_a_memory_store_that_dies_has_its_wave_run_again_and_the_result_is_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 6)
            one.wire.sends = after_readers(6, lambda: kill(*one.store_endpoints()))
            report = await one.run(shuffled(one, given, slow=20, partitions=16))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 16)
            assert any("its 6 chunks run again" in text for text in report.progress.notices), report.progress

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of the member that serves the partitions from a volume, while they are read")
def test_a_block_store_that_dies_is_followed_by_another_server_and_nothing_runs_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 6)
            one.wire.sends = after_readers(6, one.kill_volume_servers)
            report = await one.run(shuffled(one, given, slow=20, partitions=16, medium=Medium.BLOCK))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 16)
            assert not report.progress.notices
            assert report.progress.stages[0].retried == 0

    asyncio.run(story())


@pytest.mark.unhappy("partitions that are larger than the size of their store")
def test_a_store_that_is_too_small_fails_the_stage_with_the_field_to_enlarge(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            report = await one.run(shuffled(one, lines(30_000, 8), size=MEBIBYTE))
            assert (report.complete, report.reason) == (False, "ChunksFailed")
            assert "the store of map's partitions (1,048,576 bytes) takes no more" in report.message
            assert "enlarge tasks[map].shuffle.size" in report.message
            assert report.progress.stages[1].state is StageState.SKIPPED

    asyncio.run(story())


def test_members_that_a_smaller_wave_does_not_need_are_given_back(tmp_path: Path) -> None:
    async def seen(coordinator: Coordinator) -> None:
        await until(lambda: coordinator.timeline()[-1:] and coordinator.timeline()[-1].leased == 2)
        await until(lambda: coordinator.progress().stages[1].running)
        await until(lambda: coordinator.timeline()[-1].leased == 1)
        coordinator.stop("Seen")

    async def story() -> None:
        async with local_runs(tmp_path) as one:
            copy, last = one.tasklet("copy", wat.slow_echo(200)), one.tasklet("last", wat.slow_echo(50_000))
            given = ItemsInput(items=tuple(Item(value=str(number)) for number in range(8)))
            first = Stage(name="wide", tasklet=copy, input=given, parallelism=2)
            gather = StageInput(stages=("wide",), gather=True)
            narrow = Stage(name="narrow", tasklet=last, input=gather, depends_on=("wide",))
            assert (await one.run(planned(first, narrow), seen)).reason == "Seen"

    asyncio.run(story())


@pytest.mark.unhappy("a task in the middle of a graph fails")
def test_what_needs_a_failed_stage_is_skipped_and_the_rest_finishes(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            copy, broken = one.tasklet("copy", wat.echo()), one.tasklet("broken", wat.exit_code(3, "no"))
            given = lines(5, 2)
            after = Stage(
                name="after",
                tasklet=copy,
                input=StageInput(stages=("bad",), gather=True),
                depends_on=("bad",),
            )
            stages = (mapper(copy, given), reader(broken, "bad"), reader(copy, "good"), after)
            waves = (("map",), ("bad", "good"), ("after",))
            report = await one.run(Plan(namespace="default", name="test", stages=stages, waves=waves))
            states = [progress.state.value for progress in report.progress.stages]
            assert states == ["Succeeded", "Failed", "Succeeded", "Skipped"]
            assert await one.outputs("good") == divided(given, 4)

    asyncio.run(story())


@pytest.mark.unhappy("a run that was stopped between its waves, and started again over the same store")
def test_a_resumed_run_has_the_same_result(tmp_path: Path) -> None:
    running: list[Coordinator] = []

    async def known(coordinator: Coordinator) -> None:
        running.append(coordinator)

    def sends(_: LeasedMember, message: ToMember) -> None:
        if isinstance(message, Run) and message.tasks[0].fetch and running[0].progress().stages[1].succeeded >= 2:
            running[0].stop("Interrupted")

    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 6)
            plan = shuffled(one, given, slow=20, partitions=24)
            one.wire.sends = sends
            assert (await one.run(plan, known)).reason == "Interrupted"
            assert 0 < len(await one.outputs("reduce")) < 24
            one.wire.sends = lambda member, message: None
            report = await one.run(plan)
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 24)

    asyncio.run(story())
