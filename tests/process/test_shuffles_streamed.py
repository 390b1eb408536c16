"""Shuffles in mode Stream on real members: what is committed is fetched while other mappers still run, and whatever
becomes of that, readers get the same bytes.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.plan.types import ItemsInput, Medium, Plan, ShuffleMode, Stage, StageInput
from tasklet_runner.wire.programs import PartitionBy
from tasklet_runner.wire.work import Follow, Run, Stored, ToHolder, ToMember
from tests.support import wat
from tests.support.local_runs import LocalRuns, kill, local_runs, until
from tests.support.scrapes import counted
from tests.support.shuffled_plans import MEBIBYTE, divided, lines, mapper, planned, reader, shuffled

AHEAD = "leasegrid_artifact_bytes_fetched_ahead_total"
FETCHED = "leasegrid_artifact_bytes_fetched_total"


def streamed(plan: Plan) -> Plan:
    """The same plan in mode Stream."""
    return msgspec.structs.replace(plan, stages=tuple(_streamed(stage) for stage in plan.stages))


def _streamed(stage: Stage) -> Stage:
    if stage.shuffle is None:
        return stage
    return msgspec.structs.replace(stage, shuffle=msgspec.structs.replace(stage.shuffle, mode=ShuffleMode.STREAM))


class Gate:
    """Keeps the end of one mapper from the coordinator until it is opened. `members`: all that were heard of; `held`:
    the mapper has ended, and all others have. No mapper's end is heard of before so many `members` are there.
    """

    def __init__(self, one: LocalRuns, mappers: int, members: int = 1) -> None:
        self.members: dict[str, LeasedMember] = {}
        self.held = asyncio.Event()
        self._opened = asyncio.Event()
        self._ended: set[int] = set()
        self._mappers = mappers
        self._least = members
        self._enough = asyncio.Event()
        one.wire.holds = self._hold

    def open(self) -> None:
        """Let it pass."""
        self._opened.set()

    async def _hold(self, member: LeasedMember, message: ToHolder) -> None:
        self.members[member.name] = member
        if len(self.members) >= self._least:
            self._enough.set()
        if not isinstance(message, Stored) or self._opened.is_set():
            return
        await self._enough.wait()
        self._ended.add(message.index)
        if len(self._ended) == self._mappers:
            self.held.set()
            await self._opened.wait()

    def count(self, name: str) -> int:
        """The sum of a figure of all members that still live."""
        # A copy: this runs in a thread, and members come meanwhile.
        members = list(self.members.values())
        return sum(counted(Path(member.endpoint.removeprefix("unix://")), name) for member in members)


async def until_counted(gate: Gate, name: str, least: int) -> None:
    """Wait until members have counted so much."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(gate.count, name) < least:  # noqa: ASYNC110  # other processes tell no test
            await asyncio.sleep(0.02)


def bytes_of(given: ItemsInput) -> int:
    """What mappers of these have to give."""
    return sum(len(item.value.encode()) for item in given.items)


@pytest.mark.smoke
@pytest.mark.parametrize("medium", list(Medium))
def test_streamed_outputs_are_those_of_a_barrier_byte_for_byte_and_nothing_is_left(
    tmp_path: Path, medium: Medium
) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 12)
            report = await one.run(streamed(shuffled(one, given, medium=medium, partitions=7)))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 7)
            assert not report.progress.notices
            assert one.fabric.statistics().leases == 0
            assert all(receipt.unverified == () for receipt in report.receipts)
            assert list((tmp_path / "state" / "stores").glob("*")) == []

    asyncio.run(story())


@pytest.mark.parametrize("medium", list(Medium))
def test_streamed_files_are_those_that_mappers_wrote(tmp_path: Path, medium: Medium) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            file = one.tasklet("file", wat.write_file("part-2", b"raw \xff bytes"))
            file = msgspec.structs.replace(file, output_files=True)
            plan = planned(
                mapper(file, lines(1, 5), by=PartitionBy.FILE, medium=medium), reader(one.tasklet("copy", wat.echo()))
            )
            report = await one.run(streamed(plan))
            assert report.complete, report.message
            assert await one.outputs("reduce") == [b"", b"", b"raw \xff bytes" * 5, b""]

    asyncio.run(story())


def test_two_streamed_inputs_meet_in_the_order_of_from_and_two_readers_read_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            copy = one.tasklet("copy", wat.echo())
            left, right = mapper(copy, lines(40, 3)), mapper(copy, lines(30, 5))
            right = msgspec.structs.replace(right, name="right")
            both = StageInput(stages=("right", "map"))
            join = msgspec.structs.replace(reader(copy, "join"), input=both, depends_on=("right", "map"))
            stages = (left, right, join, reader(copy, "alone"))
            waves = (("map", "right"), ("join", "alone"))
            report = await one.run(streamed(Plan(namespace="default", name="test", stages=stages, waves=waves)))
            assert report.complete, report.message
            parts = zip(divided(lines(30, 5), 4), divided(lines(40, 3), 4), strict=True)
            assert await one.outputs("join") == [one + other for one, other in parts]
            assert await one.outputs("alone") == divided(lines(40, 3), 4)

    asyncio.run(story())


@pytest.mark.unhappy("no mapper at all, one alone, and mappers that write nothing, in mode Stream")
@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_or_no_streamed_outputs_make_as_many_readers_all_the_same(tmp_path: Path, count: int) -> None:
    async def story() -> None:
        async with local_runs(tmp_path, workers=1) as one:
            given = lines(0 if count == 3 else 2, count)
            report = await one.run(streamed(shuffled(one, given)))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 4)

    asyncio.run(story())


@pytest.mark.smoke
def test_all_that_is_committed_is_fetched_before_the_last_mapper_has_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path, workers=1) as one:
            given = lines(50, 6)
            whole = bytes_of(given)
            gate = Gate(one, 6)

            async def look(_: object) -> None:
                await gate.held.wait()
                await until_counted(gate, AHEAD, whole * 5 // 6)
                assert gate.count(FETCHED) == 0
                gate.open()

            report = await one.run(streamed(shuffled(one, given)), look)
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 4)

    asyncio.run(story())


def test_a_member_reads_first_what_it_has_fetched(tmp_path: Path) -> None:
    followed: dict[str, tuple[str, ...]] = {}
    first: dict[str, str] = {}

    def sends(member: LeasedMember, message: ToMember) -> None:
        if isinstance(message, Follow):
            followed[member.name] = message.queues
        if isinstance(message, Run) and message.tasks[0].fetch:
            first.setdefault(member.name, f"map/part-{message.tasks[0].index}")

    async def story() -> None:
        async with local_runs(tmp_path) as one:
            one.wire.sends = sends
            given = lines(50, 12)
            gate = Gate(one, 12, members=2)

            async def look(_: object) -> None:
                await gate.held.wait()
                await until(lambda: any(followed.values()))
                gate.open()

            report = await one.run(streamed(shuffled(one, given, slow=100, partitions=8)), look)
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 8)

    asyncio.run(story())
    followers = [name for name, queues in followed.items() if queues and name in first]
    assert followers
    assert [first[name] in followed[name] for name in followers] == [True] * len(followers)


def when_fetched(gate: Gate, act: Callable[[], None]) -> Callable[[object], "asyncio.Future[None]"]:
    """Does it when members have fetched something ahead and the last mapper is still to be heard of; then lets go."""

    async def meanwhile(_: object) -> None:
        await gate.held.wait()
        await until_counted(gate, AHEAD, 1)
        act()
        gate.open()

    return lambda coordinator: asyncio.ensure_future(meanwhile(coordinator))


@pytest.mark.unhappy("SIGKILL of a member that has fetched partitions ahead")
def test_partitions_of_a_follower_that_dies_are_fetched_by_whoever_reads_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 8)
            gate = Gate(one, 8)

            def strike() -> None:
                kill(next(iter(gate.members.values())).endpoint)

            report = await one.run(streamed(shuffled(one, given, partitions=8)), when_fetched(gate, strike))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 8)

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of the member that holds the partitions in memory, while others fetch ahead from it")
def test_a_streamed_memory_store_that_dies_has_its_wave_run_again_and_the_result_is_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 6)
            gate = Gate(one, 6)
            meanwhile = when_fetched(gate, lambda: kill(*one.store_endpoints()))
            report = await one.run(streamed(shuffled(one, given, partitions=8)), meanwhile)
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 8)
            assert any("its 6 chunks run again" in text for text in report.progress.notices), report.progress

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of the member that serves the partitions from a volume, while others fetch ahead from it")
def test_a_streamed_block_store_that_dies_is_followed_by_another_server(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 6)
            gate = Gate(one, 6)
            plan = streamed(shuffled(one, given, partitions=8, medium=Medium.BLOCK))
            report = await one.run(plan, when_fetched(gate, one.kill_volume_servers))
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 8)
            assert not report.progress.notices

    asyncio.run(story())


@pytest.mark.unhappy("partitions in mode Stream that are larger than the size of their store")
def test_a_streamed_store_that_is_too_small_fails_the_stage_with_the_field_to_enlarge(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            report = await one.run(streamed(shuffled(one, lines(30_000, 8), size=MEBIBYTE)))
            assert (report.complete, report.reason) == (False, "ChunksFailed")
            assert "enlarge tasks[map].shuffle.size" in report.message

    asyncio.run(story())


@pytest.mark.unhappy(
    "a run in mode Stream that was stopped while its mappers ran, and started again over the same store"
)
def test_a_resumed_run_streams_anew_and_has_the_same_result(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_runs(tmp_path) as one:
            given = lines(50, 6)
            plan = streamed(shuffled(one, given, partitions=8))
            gate = Gate(one, 6)

            async def stop(coordinator: Coordinator) -> None:
                await gate.held.wait()
                await until_counted(gate, AHEAD, 1)
                coordinator.stop("Interrupted")
                gate.open()

            assert (await one.run(plan, stop)).reason == "Interrupted"
            one.wire.holds = None
            report = await one.run(plan)
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(given, 8)

    asyncio.run(story())
