"""A copy of a run's outputs: where it stands, what is said of it, and that it is whole or has no sign."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.data.access import ENVIRONMENT
from tasklet_runner.data.copying import CopyReceipt, check_target, copy_outputs
from tasklet_runner.plan.types import CountInput, Kind, Layout, OutputSettings, Plan, StageInput
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.wire.errors import InputError, ResultsError
from tasklet_runner.wire.faults import Fault, FaultKind
from tests.support.runs import plan, stage

LARGE = bytes(range(256)) * 10_000


def planned(target: Path | str, layout: Layout = Layout.BY_INDEX, kind: Kind = Kind.JOB) -> Plan:
    main = stage(CountInput(count=1))
    aggregate = msgspec.structs.replace(
        main, name="aggregate", input=StageInput(stages=("main",), gather=True), depends_on=("main",)
    )
    output = OutputSettings(copy_to=str(target), layout=layout)
    return plan(main, aggregate, output=output, kind=kind)


@asynccontextmanager
async def stored(directory: Path, chunks: Sequence[tuple[CommitRecord, dict[str, bytes]]]) -> AsyncIterator[DiskStore]:
    """A store with these chunks' objects by suffix."""
    store = DiskStore.open(directory / "store", uid="store", quota_bytes=1 << 30, term=1)
    try:
        for record, objects in chunks:
            named = msgspec.structs.replace(record, objects=tuple(objects))
            await store.write([NewObject(record.key(suffix), data) for suffix, data in objects.items()], [named])
        yield store
    finally:
        await store.close()


def chunk(index: int, stage_name: str = "main", path: str = "", fault: Fault | None = None) -> CommitRecord:
    return CommitRecord(stage_name, index, 1, f"{index}-x", fault=fault, path=path)


def copied(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


CHUNKS: tuple[tuple[CommitRecord, dict[str, bytes]], ...] = (
    (chunk(0, path="a.txt"), {"stdout": b"zero", "out/x/y": LARGE}),
    (chunk(1, path="b/c.txt"), {"stdout": b""}),
    (chunk(2, fault=Fault(kind=FaultKind.TIMED_OUT, message="late")), {}),
    (chunk(0, "aggregate"), {"stdout": b"all", "out/sum": b"6"}),
)


@pytest.mark.parametrize(
    ("layout", "paths"),
    [
        (Layout.BY_INDEX, ["0/stdout", "0/x/y", "1/stdout", "aggregate/stdout", "aggregate/sum"]),
        (Layout.BY_PATH, ["a.txt.stdout", "aggregate/stdout", "aggregate/sum", "b/c.txt.stdout", "x/y"]),
    ],
)
def test_outputs_stand_where_the_layout_says_and_the_receipt_tells_them(
    tmp_path: Path, layout: Layout, paths: list[str]
) -> None:
    async def scenario() -> None:
        async with stored(tmp_path, CHUNKS) as store:
            receipt = await copy_outputs(store, planned(tmp_path / "to", layout), ENVIRONMENT)
        found = copied(tmp_path / "to")
        assert msgspec.json.decode(found.pop("_SUCCESS"), type=CopyReceipt) == receipt
        assert sorted(found) == paths
        assert sorted(found.values()) == sorted([b"zero", LARGE, b"", b"all", b"6"])
        assert [(one.path, one.bytes) for one in receipt.objects] == [(path, len(found[path])) for path in paths]
        assert (receipt.files, receipt.bytes) == (5, len(LARGE) + 8)

    asyncio.run(scenario())


def test_of_a_graph_what_nobody_reads_is_copied(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with stored(tmp_path, CHUNKS) as store:
            await copy_outputs(store, planned(f"file://{tmp_path}/to/", kind=Kind.TASK_GRAPH), ENVIRONMENT)
        assert sorted(copied(tmp_path / "to")) == ["0/stdout", "0/sum", "_SUCCESS"]

    asyncio.run(scenario())


def test_any_file_system_of_fsspec_is_a_target(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with stored(tmp_path, CHUNKS) as store:
            receipt = await copy_outputs(store, planned("memory://copies/of/it"), ENVIRONMENT)
        assert receipt.files == 5

    asyncio.run(scenario())


@pytest.mark.unhappy("a copy over an older one fails half-way: the sign of the older one is gone")
def test_a_copy_that_fails_leaves_no_sign_not_even_an_older_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with stored(tmp_path, CHUNKS) as store:
            await copy_outputs(store, planned(tmp_path / "to"), ENVIRONMENT)
            (tmp_path / "to" / "1" / "stdout").unlink()
            (tmp_path / "to" / "1").rmdir()
            (tmp_path / "to" / "1").write_bytes(b"in the way")
            with pytest.raises(ResultsError, match=f"{tmp_path}/to/1/stdout cannot be written"):
                await copy_outputs(store, planned(tmp_path / "to"), ENVIRONMENT)
            assert "_SUCCESS" not in copied(tmp_path / "to")
            assert not [path for path in copied(tmp_path / "to") if path.endswith(".partial")]

            (tmp_path / "to" / "1").unlink()
            await copy_outputs(store, planned(tmp_path / "to"), ENVIRONMENT)
            assert "_SUCCESS" in copied(tmp_path / "to")

    asyncio.run(scenario())


@pytest.mark.unhappy("two chunks with one path, or an output named as the sign of a copy: nothing is written")
@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("out/same", "out/same"), "chunks 0 and 1 both have an output at 'same'"),
        (("out/_SUCCESS", "out/other"), "chunk 0 has an output named _SUCCESS"),
    ],
)
def test_outputs_that_clash_are_told_before_anything_is_written(
    tmp_path: Path, names: tuple[str, str], says: str
) -> None:
    async def scenario() -> None:
        chunks = [(chunk(index), {name: b"x"}) for index, name in enumerate(names)]
        async with stored(tmp_path, chunks) as store:
            with pytest.raises(ResultsError, match=says):
                await copy_outputs(store, planned(tmp_path / "to", Layout.BY_PATH), ENVIRONMENT)
        assert not (tmp_path / "to").exists()

    asyncio.run(scenario())


@pytest.mark.unhappy("a copy to an unknown scheme: told before the run begins")
def test_a_target_that_nobody_can_write_is_told_first() -> None:
    with pytest.raises(InputError, match=r"copyTo nosuch://x cannot be read: .*nosuch"):
        check_target(planned("nosuch://x"), ENVIRONMENT)
    check_target(planned(""), ENVIRONMENT)
