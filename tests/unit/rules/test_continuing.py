"""What of a job may be changed between two runs that do its chunks together."""

from collections.abc import Callable

import msgspec
import pytest

from leasegrid.rules.continuing import FileState, Origin, changes, in_words
from tasklet_runner.plan.types import (
    CacheSettings,
    CountInput,
    FilesInput,
    Item,
    ItemsInput,
    Kind,
    Layout,
    LeaseTerms,
    LinesInput,
    Medium,
    MountSource,
    OutputSettings,
    Plan,
    Requirements,
    RetryPolicy,
    Shuffle,
    ShuffleMode,
    Source,
    Stage,
    StageInput,
    TaskletPlan,
)
from tasklet_runner.wire.programs import Language, Limits, Mode, PartitionBy

Change = Callable[[Plan], Plan]

WASM = TaskletPlan(name="x", language=Language.WASM, source=Source(uri="/d/x.wasm"))
PYTHON = TaskletPlan(name="inline", language=Language.PYTHON, source=Source(inline="print(1)"))
REMOTE = TaskletPlan(name="x", language=Language.WASM, source=Source(uri="https://host/x.wasm", digest="a" * 64))
ITEMS = ItemsInput(items=(Item(value="a"), Item(value="b")))


def job(tasklet: TaskletPlan = WASM, *later: Stage) -> Plan:
    main = Stage(name="main", tasklet=tasklet, input=ITEMS)
    return Plan(namespace="default", name="j", stages=(main, *later), waves=(("main",),))


def graph(*names: str) -> Plan:
    first, *rest = names
    stages = [Stage(name=first, tasklet=WASM, input=CountInput(count=9), shuffle=Shuffle(partitions=3))]
    stages += [Stage(name=name, tasklet=WASM, input=StageInput(stages=(first,)), depends_on=(first,)) for name in rest]
    return Plan(
        namespace="default", name="g", kind=Kind.TASK_GRAPH, stages=tuple(stages), waves=tuple((n,) for n in names)
    )


def of_plan(**fields: object) -> Change:
    return lambda given: msgspec.structs.replace(given, **fields)


def of_first(**fields: object) -> Change:
    return lambda given: msgspec.structs.replace(
        given, stages=(msgspec.structs.replace(given.stages[0], **fields), *given.stages[1:])
    )


def of_tasklet(**fields: object) -> Change:
    return lambda given: of_first(tasklet=msgspec.structs.replace(given.stages[0].tasklet, **fields))(given)


AGGREGATE = Stage(name="aggregate", tasklet=PYTHON, input=StageInput(stages=("main",), gather=True))
ELSEWHERE = Shuffle(partitions=3, medium=Medium.BLOCK, mode=ShuffleMode.STREAM, size=1)

HARMLESS = {
    "nothing": (job(), of_plan()),
    "parallelism": (job(), of_first(parallelism=8, min_parallelism=2)),
    "the terms of leases, pools and priority": (
        job(), of_first(lease=LeaseTerms(pools=("a",), requirements=Requirements(2), ttl_seconds=9, priority=7)),
    ),
    "retries": (job(), of_first(retry=RetryPolicy(max_retries=0))),
    "maxFailedChunks": (job(), of_first(max_failed_chunks=3)),
    "a cache": (job(), of_first(cache=CacheSettings(name="c", size=1, retain_seconds=1))),
    "activeDeadlineSeconds and suspend": (job(), of_plan(active_deadline_seconds=9, suspended=True)),
    "size, retention and layout of the output": (
        job(), of_plan(output=OutputSettings(size=1, retain_seconds=1, copy_to="x", layout=Layout.BY_PATH)),
    ),
    "what an item requires": (
        job(), of_first(input=ItemsInput(items=(Item(value="a", requirements=Requirements(4)), Item(value="b")))),
    ),
    "where partitions wait": (graph("map", "reduce"), of_first(shuffle=ELSEWHERE)),
    "the digest that a local module is to have": (
        job(), of_tasklet(source=Source(uri="/d/x.wasm", digest="b" * 64)),
    ),
}  # fmt: skip

HARMFUL = {
    "the module's path": (
        job(), of_tasklet(source=Source(uri="/d/y.wasm")),
        'spec.tasklet.module.path: was "/d/x.wasm", is "/d/y.wasm"',
    ),
    "the digest of a module elsewhere": (
        job(REMOTE), of_tasklet(source=Source(uri="https://host/x.wasm", digest="")),
        f'spec.tasklet.module.sha256: was "{"a" * 58}…, is ""',
    ),
    "a text that stands in the file": (
        job(PYTHON), of_tasklet(source=Source(inline="print(2)")),
        'spec.tasklet.python.source.inline: was "print(1)", is "print(2)"',
    ),
    "the mode": (job(PYTHON), of_tasklet(mode=Mode.LOOP), 'spec.tasklet.python.mode: was "Fresh", is "Loop"'),
    "an argument": (job(), of_tasklet(arguments=("-v",)), 'spec.tasklet.args: was [], is ["-v"]'),
    "the environment": (
        job(), of_tasklet(environment=(("A", "1"),)), 'spec.tasklet.env: was [], is [["A","1"]]',
    ),
    "a mount": (
        job(), of_tasklet(mounts=(MountSource(path="/m", source=Source(uri="/d")),)),
        'spec.tasklet.mounts: was [], is [["/m","/d"]]',
    ),
    "fuel": (job(), of_tasklet(limits=Limits(fuel=7)), f"spec.tasklet.fuel: was {Limits().fuel}, is 7"),
    "/durable": (job(), of_tasklet(durable=True), "spec.tasklet.durable: was false, is true"),
    "an item": (
        job(), of_first(input=ItemsInput(items=(Item(value="a"), Item(value="c")))),
        'spec.input.items[1].value: was "b", is "c"',
    ),
    "an item more": (
        job(), of_first(input=ItemsInput(items=(*ITEMS.items, Item(value="c")))),
        'spec.input.items[2].value: was not there, is "c"',
    ),
    "lines per chunk": (
        of_first(input=LinesInput(source=Source(uri="/d/l")))(job()),
        of_first(input=LinesInput(source=Source(uri="/d/l"), per_chunk=2)),
        "spec.input.lines.perChunk: was 1, is 2",
    ),
    "a glob": (
        of_first(input=FilesInput(globs=("/d/*.c",), root="/d"))(job()),
        of_first(input=FilesInput(globs=("/d/*.h",), root="/d")),
        'spec.input.files.globs: was ["/d/*.c"], is ["/d/*.h"]',
    ),
    "the store": (
        job(), of_plan(output=OutputSettings(store="None")), 'spec.output.store: was "Block", is "None"',
    ),
    "the aggregate's own tasklet": (
        job(WASM, AGGREGATE),
        lambda given: msgspec.structs.replace(
            given, stages=(given.stages[0], msgspec.structs.replace(AGGREGATE, tasklet=WASM))
        ),
        "spec.aggregate.tasklet.python.source.inline: was \"print(1)\", is not there",
    ),
    "partitions": (
        graph("map", "reduce"), of_first(shuffle=Shuffle(partitions=4)),
        "spec.tasks[map].shuffle.partitions: was 3, is 4",
    ),
    "what divides": (
        graph("map", "reduce"), of_first(shuffle=Shuffle(partitions=3, by=PartitionBy.FILE)),
        'spec.tasks[map].shuffle.by: was "Key", is "File"',
    ),
}  # fmt: skip


KNOWN = {
    Plan: "namespace name stages waves kind output active_deadline_seconds suspended data_secret",
    Stage: "name tasklet input depends_on parallelism min_parallelism max_failed_chunks retry lease cache shuffle",
    TaskletPlan: "name language source mode arguments environment mounts wheels limits input_files output_files "
    "durable",
    Source: "uri inline digest secret",
    Limits: "fuel memory wall_seconds max_output",
    Shuffle: "partitions by medium mode size",
    ItemsInput: "items shards",
    CountInput: "count",
    LinesInput: "source per_chunk shards",
    FilesInput: "globs root shards",
    StageInput: "stages gather",
    OutputSettings: "store size retain_seconds copy_to claim layout",
}


@pytest.mark.parametrize(("kind", "fields"), KNOWN.items(), ids=[kind.__name__ for kind in KNOWN])
def test_of_every_field_it_was_decided_whether_it_may_be_changed(kind: type[msgspec.Struct], fields: str) -> None:
    """A new field: compare it in `rules.continuing`, or say there that it may be changed; then name it here."""
    assert set(kind.__struct_fields__) == set(fields.split())


def plans(before: Plan, change: Change) -> tuple[str, ...]:
    return changes(Origin(before, {}), Origin(change(before), {}))


@pytest.mark.parametrize(("before", "change"), HARMLESS.values(), ids=HARMLESS.keys())
def test_a_change_of_this_does_not_forbid_to_go_on(before: Plan, change: Change) -> None:
    assert plans(before, change) == ()


@pytest.mark.unhappy("resume of an unfinished job with changed YAML or module: refused, says what changed")
@pytest.mark.parametrize(("before", "change", "said"), HARMFUL.values(), ids=HARMFUL.keys())
def test_a_change_of_this_is_named_by_its_field(before: Plan, change: Change, said: str) -> None:
    assert said in plans(before, change)


def test_a_task_more_or_less_is_named_once() -> None:
    before, now = Origin(graph("map", "reduce"), {}), Origin(graph("map", "count"), {})
    assert changes(before, now) == ("spec.tasks[reduce]: it was there", "spec.tasks[count]: it was not there")


def test_long_texts_that_differ_late_are_not_shown() -> None:
    def with_text(text: str) -> Plan:
        return job(msgspec.structs.replace(PYTHON, source=Source(inline="#" * 90 + text)))

    assert changes(Origin(with_text("a"), {}), Origin(with_text("b"), {})) == (
        "spec.tasklet.python.source.inline: it was changed",
    )


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        pytest.param(FileState(1, 1, "d"), FileState(2, 2, "d"), (), id="the same content at another time is the same"),
        pytest.param(FileState(1, 1, "d"), FileState(1, 1, "e"), ("/f: its content was changed",), id="other content"),
        pytest.param(FileState(1000, 1), FileState(2, 1), ("/f: had 1,000 bytes, has 2",), id="another size"),
        pytest.param(FileState(1, 1), FileState(1, 2), ("/f: it was written again",), id="another time, not read"),
        pytest.param(FileState(1, 1, "", True), FileState(1, 2, "", True), (), id="chunks tell of an input's content"),
    ],
)
def test_files_are_compared(was: FileState, now: FileState, said: tuple[str, ...]) -> None:
    assert changes(Origin(job(), {"/f": was}), Origin(job(), {"/f": now})) == said


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        pytest.param({}, {"/f": FileState(1, 1)}, "/f: it was not there", id="a file that came"),
        pytest.param({"/f": FileState(1, 1)}, {}, "/f: it is gone", id="a file that went"),
    ],
)
def test_files_that_come_and_go_are_named(was: dict[str, FileState], now: dict[str, FileState], said: str) -> None:
    assert changes(Origin(job(), was), Origin(job(), now)) == (said,)


def test_of_many_changes_the_first_are_named_and_the_others_counted() -> None:
    assert in_words(f"f{number}" for number in range(10)) == "f0; f1; f2; f3; f4; f5; f6; f7 and 2 more"
