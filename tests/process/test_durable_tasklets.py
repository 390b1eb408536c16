"""/durable follows a chunk: whatever dies, the next attempt goes on from what the last one kept."""

import asyncio
import os
import signal
import struct
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
import pytest

from tasklet_runner.client.checkpoints import get_checkpoint
from tasklet_runner.client.stores import StoreConnections
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import RunReport, StageProgress
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.plan.types import CountInput, LeaseTerms, Plan
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Durable, Limits, Task
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant
from tasklet_runner.wire.work import Checkpointed, Run, ToHolder, ToMember
from tests.support import wat
from tests.support.local_runs import FAST, LocalRuns, kill, local_runs, pid_at, until
from tests.support.runs import plan, stage

STEP_MILLISECONDS = 5


@dataclass
class Watched:
    """What a test sees of a run: every attempt with the member that got it, every word of checkpoints."""

    runs: LocalRuns
    attempts: list[tuple[LeasedMember, Task]] = field(default_factory=list)
    news: list[Checkpointed] = field(default_factory=list)

    @property
    def kept(self) -> list[Checkpointed]:
        return [one for one in self.news if one.fault is None]

    @property
    def where(self) -> str:
        """The endpoint of the member that runs the latest attempt."""
        return self.attempts[-1][0].endpoint

    async def until_sent(self, count: int) -> None:
        """Wait until so many attempts were sent."""
        await until(lambda: len(self.attempts) >= count)

    async def until_kept(self, count: int = 1) -> None:
        """Wait until so many checkpoints of the latest attempt are told of."""
        await until(lambda: self.attempts and self._kept_of(self.attempts[-1][1].attempt) >= count)

    def _kept_of(self, attempt: int) -> int:
        return sum(one.attempt == attempt for one in self.kept)

    def sent(self, member: LeasedMember, message: ToMember) -> None:
        if isinstance(message, Run):
            self.attempts += [(member, task) for task in message.tasks]

    def heard(self, member: LeasedMember, message: ToHolder) -> bool:
        if isinstance(message, Checkpointed):
            self.news.append(message)
        return False


@asynccontextmanager
async def watched(directory: Path, workers: int = 1, quota_bytes: int = 1 << 30) -> AsyncIterator[Watched]:
    async with local_runs(directory, workers, quota_bytes) as runs:
        seen = Watched(runs)
        runs.wire.sends, runs.wire.hears = seen.sent, seen.heard
        yield seen


def durable_plan(runs: LocalRuns, module: bytes, count: int = 1, **limits: int) -> Plan:
    tasklet = msgspec.structs.replace(runs.tasklet("counter", module), durable=True, limits=Limits(**limits))
    return plan(stage(CountInput(count=count), tasklet=tasklet, retry=FAST))


def counted(output: bytes) -> tuple[int, int]:
    """Where the attempt began, and where it ended."""
    began, ended = struct.unpack("<II", output)
    return began, ended


def main_of(report: RunReport) -> StageProgress:
    (found,) = report.progress.stages
    return found


def slots_of(endpoint: str) -> list[psutil.Process]:
    return psutil.Process(pid_at(endpoint)).children()


def kill_slot(endpoint: str) -> None:
    for slot in slots_of(endpoint):
        slot.kill()


def drain(endpoint: str) -> None:
    os.kill(pid_at(endpoint), signal.SIGTERM)


ENDINGS: dict[str, Callable[[str], None]] = {
    "its member is killed": kill,
    "its slot is killed": kill_slot,
    "its member is drained": drain,
}


@pytest.mark.unhappy("the death of a member, of a slot, and a drain, in the middle of a durable chunk")
@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_chunk_goes_on_from_its_checkpoint_when(end: Callable[[str], None], tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:

            async def disturb(_: Coordinator) -> None:
                await seen.until_kept()
                end(seen.where)

            # The first attempt never ends by itself: what comes out is of one that found something.
            report = await seen.runs.run(durable_plan(seen.runs, wat.count_durably(0, STEP_MILLISECONDS)), disturb)
            assert report.complete, report.message
            (output,) = await seen.runs.outputs("main")
            began, ended = counted(output)
            assert began == ended > 0
            assert main_of(report).checkpoints == len(seen.kept) >= 1
            assert sum(receipt.counters.resumed for receipt in report.receipts) >= 1
            assert nothing_left(seen.runs)

    asyncio.run(story())


def nothing_left(runs: LocalRuns) -> bool:
    """No checkpoint of any chunk stands in the job's store."""
    kept = runs.directory / "store" / "checkpoints"
    return runs.store.checkpoints.empty and not (kept.exists() and list(kept.iterdir()))


@pytest.mark.unhappy("a chunk that is in its member's way to the end, again and again")
def test_members_may_die_of_a_chunk_as_often_as_it_gets_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:

            async def disturb(coordinator: Coordinator) -> None:
                for number in range(6):
                    await seen.until_sent(number + 1)
                    await seen.until_kept()
                    kill(seen.where)
                await seen.until_sent(7)
                await seen.until_kept()
                coordinator.stop("Seen enough")

            module = wat.count_durably(10**6, STEP_MILLISECONDS)
            report = await seen.runs.run(durable_plan(seen.runs, module, wall_seconds=300), disturb)
            assert (report.reason, report.failures) == ("Seen enough", ())
            generations = [one.generation for one in seen.kept]
            assert generations == sorted(set(generations))

    asyncio.run(story())


@pytest.mark.unhappy("a durable chunk that members die of and that does not get on")
def test_a_chunk_that_does_not_get_on_is_poison_all_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:

            async def disturb(_: Coordinator) -> None:
                for number in range(5):
                    await seen.until_sent(number + 1)
                    kill(seen.where)

            report = await seen.runs.run(durable_plan(seen.runs, wat.sleep(60_000), wall_seconds=300), disturb)
            assert [failure.fault.kind for failure in report.failures] == [FaultKind.POISON]
            assert nothing_left(seen.runs)

    asyncio.run(story())


@pytest.mark.unhappy("more in /durable than maxOutput")
def test_a_durable_that_holds_too_much_is_a_typed_fault_that_names_max_output(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:
            module = wat.write_files(100, 65536)
            report = await seen.runs.run(durable_plan(seen.runs, module, max_output=1 << 20))
            (failure,) = report.failures
            assert failure.fault.kind is FaultKind.OUTPUT_TOO_LARGE
            assert "/durable" in failure.fault.message
            assert "maxOutput" in failure.fault.message
            assert nothing_left(seen.runs)

    asyncio.run(story())


@pytest.mark.unhappy("a store that is full when a checkpoint comes")
def test_an_attempt_runs_on_when_its_checkpoints_cannot_be_kept_and_people_are_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path, quota_bytes=1000) as seen:
            module = wat.count_durably(1000, STEP_MILLISECONDS)
            report = await seen.runs.run(durable_plan(seen.runs, module))
            assert report.complete, report.message
            assert counted((await seen.runs.outputs("main"))[0]) == (0, 1000)
            assert (main_of(report).checkpoints, seen.kept) == (0, [])
            assert main_of(report).checkpoints_failed >= 1
            assert any("a checkpoint of main could not be kept" in text for text in report.progress.notices)
            assert sum(receipt.counters.checkpoints_failed for receipt in report.receipts) >= 1

    asyncio.run(story())


@pytest.mark.unhappy("a checkpoint of an attempt after which another began")
def test_the_checkpoints_of_an_older_attempt_are_fenced(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen, StoreConnections() as stores:

            async def disturb(_: Coordinator) -> None:
                await seen.until_kept()
                assert await get_checkpoint(stores, later(seen), tmp_path / "newest") is not None
                await until(lambda: seen.news[-1].fault is not None)

            report = await seen.runs.run(durable_plan(seen.runs, wat.count_durably(1400, STEP_MILLISECONDS)), disturb)
            assert report.complete, report.message
            assert seen.news[-1].fault is not None
            assert seen.news[-1].fault.kind is FaultKind.FENCED
            assert main_of(report).checkpoints_failed == 1

    asyncio.run(story())


def later(seen: Watched) -> Durable:
    """What an attempt would be given that is sent after all others."""
    store = seen.runs.store
    grant = CheckpointGrant(
        store=store.uid, term=1, key="main/0", epoch=2**62, max_bytes=1 << 20, expires_at=4_000_000_000.0
    )
    return Durable(store.endpoint, sign(grant, seen.runs.surroundings.holder), "main/0")


@pytest.mark.unhappy("a member that stands still past its lease and wakes up")
def test_a_member_that_slept_through_its_lease_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path, workers=2) as seen:

            async def disturb(_: Coordinator) -> None:
                await seen.until_kept()
                sleeper = pid_at(seen.where)
                os.kill(sleeper, signal.SIGSTOP)
                try:
                    await until(lambda: len(seen.attempts) > 1)
                finally:
                    os.kill(sleeper, signal.SIGCONT)

            given = durable_plan(seen.runs, wat.count_durably(0, STEP_MILLISECONDS))
            short = msgspec.structs.replace(given.stages[0], lease=LeaseTerms(ttl_seconds=4))
            report = await seen.runs.run(msgspec.structs.replace(given, stages=(short,)), disturb)
            assert report.complete, report.message
            began, ended = counted((await seen.runs.outputs("main"))[0])
            assert began == ended > 0
            assert nothing_left(seen.runs)

    asyncio.run(story())


def test_a_file_that_is_written_in_place_is_never_taken_half(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:
            read: list[bytes] = []

            async def disturb(coordinator: Coordinator) -> None:
                for number in range(3):
                    await seen.until_kept(number + 1)
                    read.extend(archived(seen.runs))
                coordinator.stop("Seen enough")

            await seen.runs.run(durable_plan(seen.runs, wat.write_in_halves(15)), disturb)
            assert len(read) == 3
            for content in read:
                first, second = counted(content)
                assert first == second > 0

    asyncio.run(story())


def archived(runs: LocalRuns) -> list[bytes]:
    """The file `count` of each archive that a store has acknowledged, in the scratch of the members."""
    found = []
    for path in runs.fabric.runtime.path.rglob("checkpoints/*/kept"):
        with tarfile.open(path) as reader:
            file = reader.extractfile("count")
            assert file is not None
            found.append(file.read())
    return found


def test_the_next_chunk_finds_nothing_of_the_one_before_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:
            report = await seen.runs.run(durable_plan(seen.runs, wat.count_durably(3, 1), count=6))
            assert report.complete, report.message
            assert [counted(output) for output in await seen.runs.outputs("main")] == [(0, 3)] * 6
            assert nothing_left(seen.runs)

    asyncio.run(story())
