"""Plans with a shuffle for real members, and what readers must get of it."""

from collections import defaultdict

import msgspec

from tasklet_runner.plan.partition import partition
from tasklet_runner.plan.types import Input, Item, ItemsInput, Plan, Shuffle, Stage, StageInput, TaskletPlan
from tests.support import wat
from tests.support.local_runs import FAST, LocalRuns

MEBIBYTE = 1024 * 1024


def mapper(tasklet: TaskletPlan, given: Input, **changes: object) -> Stage:
    """The stage `map`."""
    shuffle = msgspec.structs.replace(Shuffle(partitions=4, size=64 * MEBIBYTE), **changes)
    return Stage(name="map", tasklet=tasklet, input=given, parallelism=2, retry=FAST, shuffle=shuffle)


def reader(tasklet: TaskletPlan, name: str = "reduce") -> Stage:
    """A stage that reads `map`."""
    given = StageInput(stages=("map",))
    return Stage(name=name, tasklet=tasklet, input=given, depends_on=("map",), parallelism=2, retry=FAST)


def planned(*stages: Stage) -> Plan:
    """One stage after another."""
    return Plan(namespace="default", name="test", stages=stages, waves=tuple((one.name,) for one in stages))


def lines(count: int, mappers: int) -> ItemsInput:
    """For each mapper lines `key<TAB>value`: the keys are the same for all, the values say whose they are."""
    return ItemsInput(
        items=tuple(
            Item(value="".join(f"k\u00e4y {key}\t{mapper} {key}\n" for key in range(count)))
            for mapper in range(mappers)
        )
    )


def divided(given: ItemsInput, partitions: int) -> list[bytes]:
    """What readers of these mappers' outputs get on stdin: in order of the mappers, as written."""
    parts: dict[int, bytearray] = defaultdict(bytearray)
    for item in given.items:
        for line in item.value.encode().splitlines(keepends=True):
            parts[partition(line.partition(b"\t")[0].rstrip(b"\n"), partitions)] += line.rstrip(b"\n") + b"\n"
    return [bytes(parts[number]) for number in range(partitions)]


def shuffled(one: LocalRuns, given: ItemsInput, slow: int = 0, **changes: object) -> Plan:
    """A plan that copies lines to where their keys belong."""
    copy = one.tasklet("copy", wat.echo())
    second = one.tasklet("slow", wat.slow_echo(slow)) if slow else copy
    return planned(mapper(copy, given, **changes), reader(second))
