"""What becomes of a run when chunks, members and leases fail."""

import asyncio
from collections import Counter
from pathlib import Path

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.plan.types import CountInput, LeaseTerms, RetryPolicy, StageInput
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome, Task
from tests.support.runs import plan, rig, stage
from tests.support.scripted_member import Script, echo
from tests.support.scripted_shuffles import soon

FAST = RetryPolicy(initial_backoff_milliseconds=10, max_backoff_milliseconds=20)


def failing(kind: FaultKind, indexes: set[int], times: int = 1000) -> Script:
    """Members at which these chunks meet a fault, each so many times."""
    met: Counter[int] = Counter()

    def run(task: Task) -> Outcome:
        if task.index in indexes and met[task.index] < times:
            met[task.index] += 1
            return Outcome(fault=Fault(kind=kind, message="so the script says", remedy="change the script"))
        return echo(task)

    return Script(run=run)


def test_a_permanent_fault_fails_its_chunk_at_once_and_the_others_finish(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, failing(FaultKind.OUT_OF_FUEL, {3})) as one:
            report = await one.run(plan(stage(CountInput(count=20))))
            assert (report.complete, report.reason) == (False, "ChunksFailed")
            assert "chunk 3 of main: OutOfFuel: so the script says (change the script)" in report.message
            assert (report.progress.stages[0].succeeded, report.progress.stages[0].failed) == (19, 1)
            assert [commit.index for commit in one.commits["main"] if commit.fault] == [3]

    asyncio.run(scenario())


def test_as_many_failures_as_allowed_do_not_fail_the_job(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, failing(FaultKind.EXIT_CODE, {3, 4})) as one:
            report = await one.run(plan(stage(CountInput(count=20), max_failed_chunks=2)))
            assert report.complete
            assert len(report.failures) == 2

    asyncio.run(scenario())


def test_what_depends_on_a_failed_stage_is_skipped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, failing(FaultKind.EXIT_CODE, {0})) as one:
            last = stage(StageInput(stages=("main",), gather=True), name="aggregate", depends_on=("main",))
            report = await one.run(plan(stage(CountInput(count=2)), last))
            assert not report.complete
            assert [one.skipped for one in report.progress.stages] == [0, 1]

    asyncio.run(scenario())


def test_a_transient_fault_is_retried_with_the_next_attempt(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, failing(FaultKind.DISCONNECTED, {1}, times=2)) as one:
            report = await one.run(plan(stage(CountInput(count=3), retry=FAST)))
            assert report.complete
            assert report.progress.stages[0].retried == 2
            assert [commit.attempt for commit in one.commits["main"]] == [1, 3, 1]

    asyncio.run(scenario())


def test_a_chunk_whose_retries_are_spent_fails_with_its_last_fault(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, failing(FaultKind.DISCONNECTED, {1})) as one:
            report = await one.run(plan(stage(CountInput(count=3), retry=FAST)))
            assert report.failures[0].fault.kind is FaultKind.DISCONNECTED
            assert report.failures[0].attempts == 4

    asyncio.run(scenario())


def test_a_bad_module_fails_all_chunks_at_once_with_one_message(tmp_path: Path) -> None:
    async def scenario() -> None:
        fault = Fault(kind=FaultKind.BAD_MODULE, message="no _start", remedy="build a command")
        async with rig(tmp_path, Script(prepare_fault=fault)) as one:
            report = await one.run(plan(stage(CountInput(count=100_000))))
            assert report.progress.stages[0].failed == 100_000
            assert [failure.fault.kind for failure in report.failures] == [FaultKind.BAD_MODULE]
            assert "all of main: BadModule: the inline source of main: no _start (build a command)" in report.message
            assert one.fabric.held == 0

    asyncio.run(scenario())


def test_chunks_of_a_killed_member_go_elsewhere_and_each_is_committed_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.01), members=3) as one:

            async def kill(_: Coordinator) -> None:
                await soon(lambda: len(one.members[0].ran) >= 3)
                await one.members[0].stop()

            report = await one.run(plan(stage(CountInput(count=300))), kill)
            assert report.complete
            assert [commit.index for commit in one.commits["main"]] == list(range(300))
            assert report.progress.stages[0].retried >= 1
            assert [name for name, _ in one.fabric.lost] == ["member-0"]

    asyncio.run(scenario())


def test_a_chunk_that_ran_in_five_members_that_died_is_poison(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, members=7) as one:
            dying: set[asyncio.Task[None]] = set()

            def run(task: Task) -> Outcome:
                if task.index == 0:
                    victim = next(member for member in one.members if (0, task.attempt) in member.ran)
                    dying.add(asyncio.get_running_loop().create_task(victim.stop()))
                    victim._dead = True
                return echo(task)

            for member in one.members:
                member.script = Script(run=run)
            report = await one.run(plan(stage(CountInput(count=2), parallelism=1)))
            await asyncio.gather(*dying)
            assert [failure.fault.kind for failure in report.failures] == [FaultKind.POISON]
            assert report.progress.stages[0].succeeded == 1
            assert len(dying) == 5

    asyncio.run(scenario())


def test_a_drained_member_gets_nothing_more_and_its_end_costs_no_retry(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.02)) as one:

            async def revoke(_: Coordinator) -> None:
                await soon(lambda: one.members[0].ran)
                await one.members[0].end("Revoked")

            report = await one.run(plan(stage(CountInput(count=60))), revoke)
            assert report.complete
            assert report.progress.stages[0].retried == 0
            assert one.fabric.lost == [("member-0", "Revoked")]

    asyncio.run(scenario())


def test_a_lease_is_renewed_and_every_member_hears_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.05)) as one:
            terms = LeaseTerms(ttl_seconds=1)
            report = await one.run(plan(stage(CountInput(count=60), lease=terms)))
            assert report.complete
            assert all(member.renewals for member in one.members)
            assert len(report.receipts) == 1

    asyncio.run(scenario())


def test_when_renewal_fails_until_the_margin_the_chunks_are_requeued_under_another_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, Script(seconds_per_task=0.02)) as one:

            async def break_renewal(coordinator: Coordinator) -> None:
                one.fabric.renewals_fail = True
                await soon(lambda: coordinator.progress().notices)
                one.fabric.renewals_fail = False
                for lease in one.fabric.leases.values():
                    one.fabric.free += lease.members
                    lease.members = []

            terms = LeaseTerms(ttl_seconds=1)
            report = await one.run(plan(stage(CountInput(count=200), lease=terms)), break_renewal)
            assert report.complete
            assert len(report.receipts) == 2
            assert "could not be renewed in time" in report.progress.notices[0]
            assert [commit.index for commit in one.commits["main"]] == list(range(200))

    asyncio.run(scenario())
