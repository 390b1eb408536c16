"""What a run is made from: the plan, and files as they are found."""

import os
from pathlib import Path

import msgspec
import pytest

from leasegrid.cli import origins
from leasegrid.cli.origins import origin_of
from leasegrid.rules.continuing import changes
from tasklet_runner.plan.types import (
    CountInput,
    FilesInput,
    Input,
    LinesInput,
    MountSource,
    Plan,
    Source,
    Stage,
    TaskletPlan,
)
from tasklet_runner.wire.programs import Language


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "x.wasm"
    path.write_bytes(b"code")
    return path


def plan(module: Path, given: Input | None = None, *mounts: Path) -> Plan:
    mounted = tuple(MountSource(path=f"/m{n}", source=Source(uri=str(path))) for n, path in enumerate(mounts))
    tasklet = TaskletPlan(name="x", language=Language.WASM, source=Source(uri=str(module)), mounts=mounted)
    stage = Stage(name="main", tasklet=tasklet, input=given or CountInput(count=3))
    return Plan(namespace="default", name="job", stages=(stage,), waves=(("main",),))


def test_a_module_that_was_only_touched_is_the_same(module: Path) -> None:
    before = origin_of(plan(module))
    os.utime(module, (1, 1))
    assert changes(before, origin_of(plan(module))) == ()


def test_a_module_with_as_many_other_bytes_and_the_old_time_is_another(module: Path) -> None:
    before = origin_of(plan(module))
    times = module.stat()
    module.write_bytes(b"CODE")
    os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changes(before, origin_of(plan(module))) == (f"{module}: its content was changed",)


def test_a_mounted_directory_is_compared_file_by_file(module: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    (mounted / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        (mounted / name).write_text(name)
    before = origin_of(plan(module, None, mounted))
    (mounted / "a").unlink()
    (mounted / "deep/c").write_text("C")
    (mounted / "d").write_text("d")
    os.utime(mounted / "b", (1, 1))

    assert changes(before, origin_of(plan(module, None, mounted))) == (
        f"{mounted}/a: it is gone",
        f"{mounted}/d: it was not there",
        f"{mounted}/deep/c: its content was changed",
    )


def test_what_is_mounted_beyond_the_bound_is_compared_by_size_and_time(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "READ_BYTES", 3)
    mounted = tmp_path / "large"
    mounted.write_text("four")
    before = origin_of(plan(module, None, mounted))
    os.utime(mounted, (1, 1))

    assert changes(before, origin_of(plan(module, None, mounted))) == (f"{mounted}: it was written again",)


def test_an_input_that_was_written_again_is_left_to_the_ids_of_its_chunks(module: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("a\nb\n")
    given = LinesInput(source=Source(uri=str(lines)))
    before = origin_of(plan(module, given))
    lines.write_text("a\nB\n")
    os.utime(lines, (1, 1))
    assert changes(before, origin_of(plan(module, given))) == ()
    lines.write_text("a\n")
    assert changes(before, origin_of(plan(module, given))) == (f"{lines}: had 4 bytes, has 2",)


def test_files_that_a_glob_finds_besides_are_named(module: Path, tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("1")
    given = FilesInput(globs=(f"{tmp_path}/*.txt",), root=str(tmp_path))
    before = origin_of(plan(module, given))
    (tmp_path / "2.txt").write_text("2")

    assert changes(before, origin_of(plan(module, given))) == (f"{tmp_path}/2.txt: it was not there",)


def test_a_file_that_is_not_there_is_no_error_here(tmp_path: Path) -> None:
    assert origin_of(plan(tmp_path / "none")).files == {}


def test_an_origin_is_read_back_as_it_was(module: Path) -> None:
    found = origin_of(plan(module))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=type(found)) == found
