"""What a coordinator sends with durable chunks, and what becomes of their checkpoints; on scripted members."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from tasklet_runner.plan.types import CountInput, Plan, RetryPolicy
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Limits, Outcome, Task
from tasklet_runner.wire.signed import verify
from tasklet_runner.wire.statements import CheckpointGrant
from tests.support.runs import TASKLET, Rig, plan, rig, stage
from tests.support.scripted_member import Script, echo

FAST = RetryPolicy(initial_backoff_milliseconds=10, max_backoff_milliseconds=20)


def durable_plan(count: int) -> Plan:
    tasklet = msgspec.structs.replace(TASKLET, durable=True, limits=Limits(max_output=1000, memory=65536))
    return plan(stage(CountInput(count=count), tasklet=tasklet, retry=FAST))


def noting(seen: list[Task]) -> Callable[[Task], Outcome]:
    """A member's work that keeps what it was asked."""

    def run(task: Task) -> Outcome:
        seen.append(task)
        return echo(task)

    return run


def grant_of(one: Rig, task: Task) -> CheckpointGrant:
    assert task.durable is not None
    assert task.durable.endpoint == one.store.endpoint
    grant = verify(task.durable.grant, CheckpointGrant, one.surroundings.holder.public_key())
    assert grant.key == task.durable.key
    return grant


def test_each_attempt_has_leave_for_its_chunks_key_alone_at_a_later_epoch_than_all_before_it(tmp_path: Path) -> None:
    seen: list[Task] = []

    def run(task: Task) -> Outcome:
        seen.append(task)
        if sum(other.index == task.index for other in seen) < 3:
            return Outcome(fault=Fault(kind=FaultKind.DISCONNECTED, message="so the script says"))
        return echo(task)

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=run)) as one:
            assert (await one.run(durable_plan(4))).complete
            grants = [grant_of(one, task) for task in seen]
            assert {grant.key for grant in grants} == {f"main/{index}" for index in range(4)}
            assert {(grant.store, grant.term) for grant in grants} == {("store", 1)}
            for index in range(4):
                epochs = [grant.epoch for grant in grants if grant.key == f"main/{index}"]
                assert epochs == sorted(set(epochs))
                assert len(epochs) == 3

    asyncio.run(scenario())


def test_the_attempts_of_a_later_coordinator_are_later_than_all_of_an_earlier_one(tmp_path: Path) -> None:
    seen: list[Task] = []

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=noting(seen))) as one:
            await one.run(durable_plan(50))
            before = max(grant_of(one, task).epoch for task in seen)
            seen.clear()
            one.surroundings = replace(one.surroundings, term=2)
            await one.run(msgspec.structs.replace(durable_plan(51)))
            assert [grant_of(one, task).epoch > before for task in seen] == [True]

    asyncio.run(scenario())


def test_chunks_that_are_not_durable_are_sent_without(tmp_path: Path) -> None:
    seen: list[Task] = []

    async def scenario() -> None:
        async with rig(tmp_path, Script(run=noting(seen))) as one:
            await one.run(plan())
            assert [task.durable for task in seen] == [None] * 3

    asyncio.run(scenario())
