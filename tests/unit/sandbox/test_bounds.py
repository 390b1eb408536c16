"""What a module, an input or a program says of itself is bounded before it is passed on, or refused with its reason."""

import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tasklet_runner.member.wiping import wipe
from tasklet_runner.sandbox.archives import unpack
from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.expansion import MAX_EXPANDED, compile_arguments, compile_environment
from tasklet_runner.sandbox.trees import MAX_NAMES_BYTES, empty_tree, list_tree
from tasklet_runner.wire.errors import FaultError, InputError
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Task
from tests.unit.sandbox import modules
from tests.unit.sandbox.conftest import RunWat


@pytest.mark.unhappy("a module that names its functions with a megabyte each")
def test_a_backtrace_quotes_only_the_beginning_of_a_long_name(run: RunWat) -> None:
    name = "f" * 1_000_000
    fault = run(f'(module (func ${name} unreachable) (func (export "_start") (call ${name})))').fault
    assert fault is not None
    assert fault.reason == "Trapped(UNREACHABLE)"
    assert max(map(len, (fault.message, *fault.backtrace))) < 2000


@pytest.mark.unhappy("a module whose import has a name that is too long to be passed on")
def test_a_fault_of_the_compiler_that_quotes_a_long_name_is_read_whole(tmp_path: Path) -> None:
    module = f'(module (import "wasi_snapshot_preview1" "{"n" * 90_000}" (func)) (func (export "_start")))'
    (tmp_path / "m.wasm").write_bytes(wasmtime.wat2wasm(module))
    with pytest.raises(FaultError) as refused:
        CompileChild.start(tmp_path / "m.wasm", CompileBounds(memory=512 * 1024 * 1024)).finish()
    assert refused.value.fault.kind is FaultKind.BAD_MODULE
    assert len(refused.value.fault.message) < 5000


def doubling(count: int) -> list[tuple[str, str]]:
    return [("A0", "x" * 1000), *((f"A{n}", f"$(A{n - 1})$(A{n - 1})") for n in range(1, count))]


@pytest.mark.unhappy("variables that each name the one before twice")
@pytest.mark.parametrize(
    "expand",
    [
        pytest.param(lambda: compile_environment(doubling(60)), id="in the environment"),
        pytest.param(
            lambda: compile_arguments(["$(A11)"] * 5000, compile_environment(doubling(12))), id="in arguments"
        ),
    ],
)
def test_what_grows_past_all_bounds_when_it_is_expanded_is_refused(expand: Callable[[], object]) -> None:
    with pytest.raises(FaultError) as refused:
        expand()
    assert refused.value.fault.kind is FaultKind.CAPACITY_EXCEEDED


@pytest.mark.unhappy("arguments that name a long path again and again")
def test_arguments_that_grow_by_the_chunk_are_refused_for_that_chunk_alone(run: RunWat) -> None:
    arguments = ("$(CHUNK_PATH)" * 1000,)
    long = run(modules.ECHO, Task(0, 1, "x", path="p" * (MAX_EXPANDED // 1000 + 1)), arguments=arguments).fault
    assert long is not None
    assert long.kind is FaultKind.CAPACITY_EXCEEDED
    assert run(modules.ECHO, Task(0, 1, "x", path="p"), arguments=arguments).fault is None


@pytest.mark.unhappy("an input whose path is no path of a file")
@pytest.mark.parametrize("path", ["n" * 300, "d/" * 3000 + "f", ".", "..", "/x", "a\0b"])
def test_a_path_that_no_file_can_have_is_the_inputs_fault_and_not_the_disks(run: RunWat, path: str) -> None:
    fault = run(modules.ECHO, Task(0, 1, "x", b"data", path), input_files=True).fault
    assert fault is not None
    assert fault.kind is FaultKind.IO_ERROR


def archive(header: bytes) -> bytes:
    return header + bytes(1024)


def long_names(count: int) -> bytes:
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2
    return (entry.tobuf(tarfile.GNU_FORMAT) + b"n".ljust(512, b"\0")) * count


def far_time(seconds: str) -> bytes:
    entry = tarfile.TarInfo("f")
    entry.pax_headers = {"mtime": seconds}
    return entry.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.unhappy("an archive that breaks its reader")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(long_names(5000), id="by a header of a header of a header"),
        pytest.param(far_time("1e300"), id="by a time that no file has"),
        pytest.param(far_time("nan"), id="by a time that is no number"),
        pytest.param(tarfile.TarInfo("n" * 300).tobuf(tarfile.GNU_FORMAT), id="by a name that no file has"),
    ],
)
def test_an_archive_that_cannot_be_unpacked_says_so_and_leaves_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(archive(data))
    with pytest.raises(InputError):
        unpack(tmp_path / "a.tar", tmp_path / "out", 1 << 20, 100)
    assert not (tmp_path / "out").exists()


def test_a_listing_refuses_names_that_do_not_fit_into_a_message() -> None:
    with tempfile.TemporaryDirectory() as name:
        nested = Path(name) / ("d" * 250) / ("e" * 250) / ("f" * 250)
        nested.mkdir(parents=True)
        for number in range(MAX_NAMES_BYTES // 900):
            (nested / f"{number:0240}").touch()
        assert "bytes of paths" in list_tree(Path(name)).refused


@pytest.mark.unhappy("directories nested deeper than a path or a recursion goes, left by a slot that was killed")
def test_a_wipe_goes_as_deep_as_a_tasklet_went_and_counts_what_was_there(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=place)
        place, above = os.open("d", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    file = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=place)
    os.write(file, bytes(8192))
    os.fsync(file)
    os.close(file)
    os.close(place)
    (tmp_path / "g").write_bytes(io.DEFAULT_BUFFER_SIZE * b"g")
    assert wipe(tmp_path) >= 8192
    assert not list(tmp_path.iterdir())
    assert empty_tree(tmp_path) == 0
