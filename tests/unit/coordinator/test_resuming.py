"""Which stages of a resumed graph need not run."""

import pytest

from tasklet_runner.coordinator.resuming import done_before
from tasklet_runner.plan.types import CountInput, Plan, Shuffle, Source, Stage, StageInput, TaskletPlan
from tasklet_runner.wire.programs import Language

TASKLET = TaskletPlan(name="t", language=Language.WASM, source=Source(inline=""))
FOUR = Shuffle(partitions=4)


def graph(**reads: tuple[str, ...]) -> Plan:
    """Stages by what they read; the names of shuffled ones begin with `s`."""
    stages = tuple(
        Stage(
            name=name,
            tasklet=TASKLET,
            input=StageInput(stages=needed) if needed else CountInput(count=9),
            depends_on=needed,
            shuffle=FOUR if name.startswith("s") else None,
        )
        for name, needed in reads.items()
    )
    return Plan(namespace="default", name="test", stages=stages, waves=tuple((one.name,) for one in stages))


SIMPLE = graph(smap=(), reduce=("smap",))
TWO_READERS = graph(smap=(), left=("smap",), right=("smap",))
CHAIN = graph(sone=(), stwo=("sone",), last=("stwo",))
FORKED = graph(sone=(), stwo=("sone",), last=("stwo",), other=("sone",))
PLAIN = graph(main=(), gathered=("main",))


@pytest.mark.parametrize(
    ("plan", "committed", "done"),
    [
        pytest.param(SIMPLE, {}, set(), id="nothing is committed, so all run"),
        pytest.param(SIMPLE, {"reduce": 3}, set(), id="one reader is missing, so the producer runs again too"),
        pytest.param(SIMPLE, {"reduce": 4}, {"smap", "reduce"}, id="all readers are done, so nothing runs"),
        pytest.param(TWO_READERS, {"left": 4, "right": 1}, set(), id="one of two readers needs the producer"),
        pytest.param(TWO_READERS, {"left": 4, "right": 4}, {"smap", "left", "right"}, id="both readers are done"),
        pytest.param(CHAIN, {"last": 4}, {"sone", "stwo", "last"}, id="the end of a chain of shuffles is done"),
        pytest.param(CHAIN, {"last": 2}, set(), id="the end of a chain needs the whole chain"),
        pytest.param(FORKED, {"last": 4, "other": 0}, {"stwo", "last"}, id="only the branch that is not done runs"),
        pytest.param(PLAIN, {"main": 9, "gathered": 1}, set(), id="stages without a shuffle look for themselves"),
    ],
)
def test_stages_run_again_only_for_readers_that_are_not_done(
    plan: Plan, committed: dict[str, int], done: set[str]
) -> None:
    assert done_before(plan, committed) == done
