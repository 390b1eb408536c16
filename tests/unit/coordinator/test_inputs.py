"""How inputs become chunks, and what is said of those that cannot be read."""

import asyncio
import dataclasses
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.plan.types import CountInput, FilesInput, Item, ItemsInput, LinesInput, MountSource, Source
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Outcome, Task
from tests.support.runs import TASKLET, Rig, plan, rig, stage
from tests.support.scripted_member import Script, ScriptedMember, echo


def with_blobs(one: Rig, used: dict[int, bytes]) -> None:
    """Members that echo the stdin of archives too, and keep the archives in `used`."""

    def script(member: ScriptedMember) -> Script:
        def run(task: Task) -> Outcome:
            if not task.input_blob:
                return echo(task)
            used[task.index] = bytes(member.blobs[task.input_blob])
            with tarfile.open(fileobj=io.BytesIO(used[task.index])) as archive:
                stdin = archive.extractfile("stdin")
                assert stdin is not None
                return Outcome(stdout=hashlib.sha256(stdin.read()).hexdigest().encode())

        return Script(run=run)

    for member in one.members:
        member.script = script(member)


def test_lines_keep_their_newlines_and_come_as_many_as_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "text").write_bytes(b"a\nb\r\nc\nd\ne")
        async with rig(tmp_path) as one:
            await one.run(plan(stage(LinesInput(source=Source(uri=str(tmp_path / "text")), per_chunk=2))))
            assert await one.outputs() == [b"a\nb\r\n", b"c\nd\n", b"e"]

    asyncio.run(scenario())


@pytest.mark.parametrize("shards", [1, 3, 300], ids=["one shard", "a few shards", "more shards than lines"])
def test_shards_of_lines_hold_every_line_once_and_equal_lines_together(tmp_path: Path, shards: int) -> None:
    async def scenario() -> None:
        lines = [b"%d\n" % (number % 20) for number in range(100)]
        (tmp_path / "text").write_bytes(b"".join(lines))
        async with rig(tmp_path) as one:
            await one.run(plan(stage(LinesInput(source=Source(uri=str(tmp_path / "text")), shards=shards))))
            outputs = await one.outputs()
            assert len(outputs) == shards
            assert sorted(b"".join(outputs).splitlines(keepends=True)) == sorted(lines)
            assert all(len({output for output in outputs if line in output.splitlines(True)}) == 1 for line in lines)

    asyncio.run(scenario())


def test_shards_of_items_have_one_item_a_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            given = ItemsInput(items=tuple(Item(value=f"item {number}") for number in range(30)), shards=4)
            await one.run(plan(stage(given)))
            outputs = await one.outputs()
            assert len(outputs) == 4
            assert sorted(b"".join(outputs).decode().split("\n"))[1:] == sorted(item.value for item in given.items)

    asyncio.run(scenario())


def test_each_file_is_a_chunk_in_sorted_order_with_its_path_below_the_root(tmp_path: Path) -> None:
    async def scenario() -> None:
        for name in ("b.txt", "sub/a.txt", "sub/deep/c.txt", "no.md"):
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        async with rig(tmp_path) as one:
            root = str(tmp_path / "in")
            await one.run(plan(stage(FilesInput(globs=(f"{root}/**/*.txt", f"{root}/b.*"), root=root))))
            assert await one.outputs() == [b"b.txt", b"sub/a.txt", b"sub/deep/c.txt"]
            assert [commit.path for commit in one.commits["main"]] == ["b.txt", "sub/a.txt", "sub/deep/c.txt"]

    asyncio.run(scenario())


def test_a_large_file_travels_as_an_archive_that_is_forgotten_after_use(tmp_path: Path) -> None:
    async def scenario() -> None:
        content = b"0123456789abcdef" * 200_000
        (tmp_path / "large").write_bytes(content)
        async with rig(tmp_path) as one:
            used: dict[int, bytes] = {}
            with_blobs(one, used)
            tasklet = msgspec.structs.replace(TASKLET, input_files=True)
            given = FilesInput(globs=(str(tmp_path / "large"),), root=str(tmp_path))
            report = await one.run(plan(stage(given, tasklet=tasklet)))
            assert report.complete
            assert await one.outputs() == [hashlib.sha256(content).hexdigest().encode()]
            with tarfile.open(fileobj=io.BytesIO(used[0])) as archive:
                assert archive.getnames() == ["stdin", "in/large"]
                assert {archive.extractfile(name).read() for name in archive.getnames()} == {content}  # type: ignore[union-attr]
            assert sum(member.received["Forget"] for member in one.members) == 1

    asyncio.run(scenario())


def test_shards_of_files_put_all_files_on_stdin_and_in_the_archive(tmp_path: Path) -> None:
    async def scenario() -> None:
        for number in range(10):
            (tmp_path / f"{number}.txt").write_text(f"{number}\n")
        async with rig(tmp_path) as one:
            used: dict[int, bytes] = {}
            with_blobs(one, used)
            tasklet = msgspec.structs.replace(TASKLET, input_files=True)
            given = FilesInput(globs=(f"{tmp_path}/*.txt",), root=str(tmp_path), shards=2)
            await one.run(plan(stage(given, tasklet=tasklet)))
            found: dict[str, bytes] = {}
            for data in used.values():
                with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                    parts = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
                assert b"".join(part for name, part in parts.items() if name != "stdin") == parts.pop("stdin")
                found.update(parts)
            assert found == {f"in/{number}.txt": b"%d\n" % number for number in range(10)}

    asyncio.run(scenario())


class MeddlingStore(DiskStore):
    """Something happens to a file when the plan is stored: the inputs are listed, and nothing was read."""

    happens: Callable[[], object] = staticmethod(lambda: None)

    async def put_value(self, name: str, value: bytes) -> None:
        self.happens()
        await super().put_value(name, value)


@pytest.mark.unhappy(
    "an input file that vanishes or changes between listing and reading: its chunk alone fails, in words"
)
@pytest.mark.parametrize(
    ("meddle", "says"),
    [
        (lambda path: path.unlink(missing_ok=True), "0009.txt cannot be found"),
        (lambda path: path.write_text("something else"), "0009.txt has changed since it was listed"),
    ],
    ids=["it vanishes", "it is changed"],
)
def test_a_file_that_is_meddled_with_while_the_job_runs_fails_only_its_chunk(
    tmp_path: Path, meddle: Callable[[Path], object], says: str
) -> None:
    async def scenario() -> None:
        for number in range(20):
            (tmp_path / f"{number:04}.txt").write_text("x")
        async with rig(tmp_path) as one:
            given = FilesInput(globs=(f"{tmp_path}/*.txt",), root=str(tmp_path))
            store = MeddlingStore.open(tmp_path / "other", uid="other", quota_bytes=1 << 20, term=1)
            store.happens = lambda: meddle(tmp_path / "0009.txt")
            surroundings = dataclasses.replace(one.surroundings, store=store)
            report = await Coordinator(plan(stage(given)), surroundings).run()
            await store.close()
            assert [(one.index, one.fault.kind) for one in report.failures] == [(9, FaultKind.IO_ERROR)]
            assert says in report.failures[0].fault.message
            assert report.progress.stages[0].succeeded == 19

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (LinesInput(source=Source(uri="/nowhere/text")), "/nowhere/text cannot be found"),
        (LinesInput(source=Source(uri="/")), "/ is a directory"),
        (LinesInput(source=Source(uri="nosuch://text")), "nosuch://text cannot be read"),
        (LinesInput(source=Source(inline="text", digest="0" * 64)), f"the job says {'0' * 64}"),
        (FilesInput(globs=("/nowhere/*.txt",), root="/nowhere"), "no file matches /nowhere/*.txt"),
        (FilesInput(globs=("/etc/passwd",), root="/usr"), "/etc/passwd is outside the root /usr"),
    ],
    ids=[
        "a text that is not there",
        "a directory in place of a text",
        "an unknown protocol",
        "another hash than the job says",
        "globs that match nothing",
        "a file outside the root",
    ],
)
def test_an_input_that_cannot_be_read_is_named_before_anything_starts(
    tmp_path: Path, given: LinesInput | FilesInput, says: str
) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            report = await one.run(plan(stage(given)))
            assert (report.complete, report.reason) == (False, "InvalidInput")
            assert says in report.message
            assert one.fabric.leases == {}

    asyncio.run(scenario())


def test_a_module_with_another_hash_is_refused_with_both_hashes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path) as one:
            tasklet = msgspec.structs.replace(TASKLET, source=Source(inline="module", digest="f" * 64))
            report = await one.run(plan(stage(CountInput(count=1), tasklet=tasklet)))
            assert report.reason == "InvalidInput"
            assert hashlib.sha256(b"module").hexdigest() in report.message
            assert "f" * 64 in report.message

    asyncio.run(scenario())


def test_a_mount_has_one_digest_whenever_and_wherever_it_is_packed(tmp_path: Path) -> None:
    async def scenario(copy: str) -> str:
        for name in ("z", "a/b"):
            path = tmp_path / copy / "mount" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        async with rig(tmp_path / copy) as one:
            mount = MountSource(path="/m", source=Source(uri=str(tmp_path / copy / "mount")))
            tasklet = msgspec.structs.replace(TASKLET, mounts=(mount,))
            await one.run(plan(stage(CountInput(count=1), tasklet=tasklet)))
            program = next(member.program for member in one.members if member.program)
            return program.mounts[0].digest

    assert asyncio.run(scenario("one")) == asyncio.run(scenario("two"))
