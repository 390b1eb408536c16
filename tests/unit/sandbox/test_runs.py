"""What a run is given and what comes back of it."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tasklet_runner.sandbox.running import Places, Runner
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Language, Limits, OutputFile, Program, Task
from tests.unit.sandbox import modules
from tests.unit.sandbox.conftest import SMALL, RunWat, compiled

ROOMY = Limits(fuel=100_000_000, memory=1024 * 1024, wall_seconds=5, max_output=1_000_000)


def test_stdin_is_the_input_and_stdout_the_output(run: RunWat) -> None:
    outcome = run(modules.ECHO, Task(0, 1, "0-aa", b"some \0 bytes\n"))
    assert (outcome.fault, outcome.stdout, outcome.files, outcome.held_bytes) == (None, b"some \0 bytes\n", (), 0)
    assert outcome.fuel_used > 0
    assert outcome.wall_microseconds > 0


def test_no_input_is_an_empty_stdin(run: RunWat) -> None:
    assert run(modules.ECHO).stdout == b""


def test_arguments_and_environment_are_expanded_for_each_chunk(open_runner: Callable[..., Runner]) -> None:
    environment = (("WHERE", "at $(CHUNK_NAME)"), ("FIXED", "f"))
    runner = open_runner(
        modules.SHOW_ARGUMENTS, arguments=("-n", "$(CHUNK_INDEX)", "$(WHERE)"), environment=environment
    )
    shown = [runner.run(Task(index, 1, "x", path=f"d/{index}.c")).stdout for index in (3, 44)]
    assert shown == [
        b"tool\0-n\x003\0at 3.c\0WHERE=at 3.c\0FIXED=f\0",
        b"tool\0-n\x0044\0at 44.c\0WHERE=at 44.c\0FIXED=f\0",
    ]


def test_the_same_input_gives_the_same_outcome_and_fuel_whatever_ran_before(open_runner: Callable[..., Runner]) -> None:
    runner, task = open_runner(modules.COUNT_INPUT), Task(0, 1, "0-aa", b"seven..")
    first = runner.run(task)
    runner.run(Task(1, 1, "1-bb", b"x" * 4000))
    second = runner.run(task)
    assert (first.stdout, first.fuel_used) == (second.stdout, second.fuel_used)
    assert open_runner(modules.COUNT_INPUT).run(task).fuel_used == first.fuel_used


def test_nothing_in_memory_outlives_a_run(open_runner: Callable[..., Runner]) -> None:
    runner = open_runner(
        modules.command("""
     (call $put (i32.const 1) (i32.const 65600) (i32.const 8))
     (drop (call $get (i32.const 0) (i32.const 65600)))""")
    )
    assert [runner.run(Task(index, 1, "x", b"secretly")).stdout for index in range(3)] == [bytes(8)] * 3


def test_a_shorter_output_does_not_show_the_end_of_a_longer_one(open_runner: Callable[..., Runner]) -> None:
    runner = open_runner(modules.ECHO)
    assert [runner.run(Task(0, 1, "x", data)).stdout for data in (b"long output", b"x", b"")] == [
        b"long output",
        b"x",
        b"",
    ]


def test_the_tail_of_stderr_is_kept_after_a_success(run: RunWat) -> None:
    noisy = modules.command("(call $put (i32.const 2) (i32.const 64) (i32.const 4))", data="note")
    assert run(noisy).stderr == b"note"


def test_an_exit_with_code_zero_is_a_success(run: RunWat) -> None:
    leaving = modules.command(
        "(call $put (i32.const 1) (i32.const 64) (i32.const 2)) (call $exit (i32.const 0))", data="ok"
    )
    assert (run(leaving).fault, run(leaving).stdout) == (None, b"ok")


def test_files_of_out_come_sorted_without_symlinks_and_are_gone_for_the_next(
    open_runner: Callable[..., Runner],
) -> None:
    runner = open_runner(modules.WRITE_FILES, output_files=True)
    for index in range(2):
        outcome = runner.run(Task(index, 1, "x"))
        assert (outcome.fault, outcome.stdout) == (None, b"s")
        assert outcome.files == (OutputFile("d/a", b"szd/a"), OutputFile("z", b"zd"))


def test_an_output_too_large_for_the_frame_is_held_beside_it(
    open_runner: Callable[..., Runner], places: Places
) -> None:
    runner = open_runner(modules.WRITE_MUCH, output_files=True, limits=ROOMY)
    outcome = runner.run(Task(4, 2, "x"))
    assert (outcome.fault, outcome.stdout, outcome.files, outcome.held_bytes) == (None, b"", (), 200_000)
    assert {
        str(path.relative_to(places.held)): path.stat().st_size for path in places.held.rglob("*") if path.is_file()
    } == {
        "4-2/stdout": 100_000,
        "4-2/out/big": 100_000,
    }
    assert runner.run(Task(4, 2, "x")).held_bytes == 200_000


def test_one_file_a_chunk_is_at_its_path_below_in_and_on_stdin(run: RunWat) -> None:
    task = Task(0, 1, "x", b"int main;", "d/a.c")
    assert run(modules.COPY_INPUT_FILE, task, input_files=True).stdout == b"int main;" * 2


@pytest.mark.parametrize("path", ["../escape", "/etc/passwd", "a/../../b"])
def test_a_path_that_leads_out_of_in_is_refused(run: RunWat, path: str) -> None:
    fault = run(modules.ECHO, Task(0, 1, "x", b"", path), input_files=True).fault
    assert fault is not None
    assert (fault.kind, path in fault.message) == (FaultKind.IO_ERROR, True)


def test_in_and_mounts_are_read_only(run: RunWat, engine: wasmtime.Engine, places: Places, tmp_path: Path) -> None:
    mount = tmp_path / "shared"
    mount.mkdir()
    program = Program(name="tool", language=Language.WASM, source="00", limits=SMALL, input_files=True)
    own = Places(places.scratch, places.held, places.source, places.blobs, (("/shared", mount),))
    vandal = modules.command(
        "(drop (call $create (i32.const 3) (i32.const 64) (i32.const 1)))"
        "(drop (call $mkdir (i32.const 4) (i32.const 64) (i32.const 1)))",
        data="v",
    )
    runner = Runner(engine, program, code_fd=compiled(vandal), places=own)
    runner.run(Task(0, 1, "x"))
    assert list(mount.iterdir()) == []
    runner.close()


def test_durable_without_a_place_is_unsupported(open_runner: Callable[..., Runner]) -> None:
    with pytest.raises(FaultError) as caught:
        open_runner(modules.ECHO, durable=True)
    assert caught.value.fault.kind is FaultKind.UNSUPPORTED


def archive(places: Places, name: str, members: dict[str, bytes]) -> None:
    places.blobs.mkdir(exist_ok=True)
    with tarfile.open(places.blobs / name, "w") as writer:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            writer.addfile(info, io.BytesIO(data))


def test_an_input_archive_gives_stdin_and_the_files_of_in(open_runner: Callable[..., Runner], places: Places) -> None:
    archive(places, "ab" * 32, {"stdin": b"from stdin", "in/d/a.c": b"from a file, "})
    runner = open_runner(modules.COPY_INPUT_FILE)
    for _ in range(2):
        assert runner.run(Task(0, 1, "x", input_blob="ab" * 32)).stdout == b"from a file, from stdin"


def test_an_input_archive_that_is_damaged_is_a_fault_of_the_chunk(
    open_runner: Callable[..., Runner], places: Places
) -> None:
    archive(places, "ab" * 32, {"../stdin": b"x"})
    fault = open_runner(modules.ECHO).run(Task(0, 1, "x", input_blob="ab" * 32)).fault
    assert fault is not None
    assert fault.kind is FaultKind.IO_ERROR
