"""Memory for the partitions of a whole graph: what would wait for itself is found before anything runs."""

import pytest

from leasegrid.rules.shuffle_room import never_fitting
from tasklet_runner.plan.types import CountInput, Medium, Plan, Shuffle, Source, Stage, StageInput, TaskletPlan
from tasklet_runner.wire.programs import Language

ROOM = 10
TASKLET = TaskletPlan(name="t", language=Language.WASM, source=Source(uri="t.wasm"))


def stage(name: str, *reads: str, size: int = 0, medium: Medium = Medium.MEMORY) -> Stage:
    """A stage that reads these; with a size its output is shuffled."""
    given = StageInput(stages=reads) if reads else CountInput(count=1)
    shuffle = Shuffle(partitions=1, size=size, medium=medium) if size else None
    return Stage(name=name, tasklet=TASKLET, input=given, depends_on=reads, shuffle=shuffle)


def plan(*waves: tuple[Stage, ...]) -> Plan:
    stages = tuple(one for wave in waves for one in wave)
    return Plan(namespace="n", name="g", stages=stages, waves=tuple(tuple(one.name for one in wave) for wave in waves))


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        pytest.param(
            plan((stage("a", size=5), stage("b", size=5)), (stage("c", "a", "b"),)),
            (),
            id="two that fit together stand together",
        ),
        pytest.param(
            plan((stage("a", size=6), stage("b", size=6)), (stage("c", "a"), stage("d", "b"))),
            ("a", "b"),
            id="the second of one wave would wait for readers of the next wave",
        ),
        pytest.param(
            plan((stage("a", size=6),), (stage("b", "a", size=6),), (stage("c", "b"),)),
            ("a", "b"),
            id="a stage would wait for the store that it reads itself",
        ),
        pytest.param(
            plan((stage("a", size=6), stage("x")), (stage("c", "a"), stage("b", "x", size=6)), (stage("d", "b"),)),
            (),
            id="a stage waits for a store that a reader beside it gives back",
        ),
        pytest.param(
            plan((stage("a", size=6),), (stage("b", "a"),), (stage("c", "b", size=6),), (stage("d", "c"),)),
            (),
            id="one after the other never stand together",
        ),
        pytest.param(
            plan((stage("a", size=6), stage("b", size=60, medium=Medium.BLOCK)), (stage("c", "a"), stage("d", "b"))),
            (),
            id="partitions in Block take no memory",
        ),
        pytest.param(
            plan(
                (stage("a", size=6), stage("b", size=6)),
            ),
            (),
            id="partitions that nobody reads are given back at once",
        ),
    ],
)
def test_stores_that_can_never_stand_together_are_named(given: Plan, refused: tuple[str, ...]) -> None:
    assert never_fitting(given, ROOM) == refused
