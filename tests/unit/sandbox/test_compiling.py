"""A module is compiled within bounds, by a child, or there is a fault that says why not."""

import fcntl
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
import wasmtime

from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.engine import new_engine
from tasklet_runner.sandbox.loading import load_module
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind
from tests.unit.sandbox import modules

BOUNDS = CompileBounds(memory=512 * 1024 * 1024)
WASI = "wasi_snapshot_preview1"

COMPILE = """
import sys
from pathlib import Path
from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.wire.errors import FaultError
try:
    CompileChild.start(Path(sys.argv[1]), CompileBounds(memory=24 * 1024 * 1024)).finish()
except FaultError as error:
    print(error.fault.kind.value, error.fault.message, error.fault.remedy, sep="\\n")
"""


def children() -> str:
    """This thread's child processes, dead ones that nobody has reaped included."""
    return Path("/proc/thread-self/children").read_text()


def fault_of(wasm: bytes, directory: Path, bounds: CompileBounds = BOUNDS) -> Fault:
    path = directory / "module.wasm"
    path.write_bytes(wasm)
    with pytest.raises(FaultError) as caught:
        CompileChild.start(path, bounds).finish()
    assert caught.value.fault.remedy
    return caught.value.fault


def many_functions(count: int) -> bytes:
    """A module of so many functions, in the binary format: as text it would take longer to translate than to run."""
    body = b"\x01\x01\x7f" + b"\x20\x00\x41\x07\x6a\x21\x00" * 60 + b"\x0b"  # local += 7, sixty times
    functions = leb128(count) + (leb128(len(body)) + body) * count
    return b"".join(
        [
            b"\0asm\x01\0\0\0",
            section(1, b"\x01\x60\x00\x00"),
            section(3, leb128(count) + b"\x00" * count),
            section(7, b"\x01\x06_start\x00\x00"),
            section(10, functions),
        ]
    )


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + leb128(len(content)) + content


def leb128(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def test_code_comes_in_a_sealed_descriptor_that_announces_itself(tmp_path: Path) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(wasmtime.wat2wasm(modules.ECHO))
    child = CompileChild.start(path, BOUNDS)
    assert select.select([child.fileno()], [], [], 30)[0]
    code = child.finish()
    with pytest.raises(PermissionError):
        os.pwrite(code, b"x", 0)
    assert fcntl.fcntl(code, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SEAL
    module, memory = load_module(new_engine(), code)
    assert memory.initial == 2 * 65536
    module.close()
    os.close(code)


def test_code_that_is_none_is_refused_when_it_is_loaded() -> None:
    forged = os.memfd_create("forged")
    os.write(forged, b"\x7fELF" + bytes(100))
    with pytest.raises(FaultError) as caught:
        load_module(new_engine(), forged)
    os.close(forged)
    assert caught.value.fault.kind is FaultKind.BAD_MODULE


@pytest.mark.parametrize(
    ("wat", "words"),
    [
        pytest.param('(module (memory (export "memory") 1))', "exports no `_start`", id="without a start"),
        pytest.param('(module (func (export "_initialize")))', "reactor", id="that is a reactor"),
        pytest.param('(module (func (export "_start") (param i32)))', "without parameters", id="whose start takes one"),
        pytest.param(
            '(module (import "env" "f" (func)) (import "js" "g" (func)))', "`env.f`, `js.g`", id="for browsers"
        ),
        pytest.param(f'(module (import "{WASI}" "fly" (func)))', "fly", id="with an unknown WASI function"),
        pytest.param(f'(module (import "{WASI}" "fd_read" (func)))', "fd_read", id="with a wrong signature"),
        pytest.param(modules.ECHO.replace('"memory"', '"heap"'), "no memory named", id="that hides its memory"),
        pytest.param("(module (memory i64 1))", "memory64", id="with memory64"),
        pytest.param("(module (memory 1 2 shared))", "threads", id="with threads"),
        pytest.param("(module (memory 1) (memory 1))", "multiple memories", id="with several memories"),
        pytest.param("(module (tag))", "exceptions", id="with exceptions"),
        pytest.param("(module (type (struct)))", "", id="with garbage collection"),
    ],
)
def test_a_module_is_refused(tmp_path: Path, wat: str, words: str) -> None:
    fault = fault_of(bytes(wasmtime.wat2wasm(wat)), tmp_path)
    assert fault.kind is FaultKind.BAD_MODULE
    assert words in fault.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "does not start as", id="an empty file"),
        pytest.param(b"print(1)\n", "does not start as", id="a Python file"),
        pytest.param(b"(module)", "text", id="WebAssembly text"),
        pytest.param(b"\x7fELF\x02", "native Linux program", id="a native program"),
        pytest.param(b"\0asm\x0d\0\x01\0", "component", id="a component"),
        pytest.param(b"\0asm\x01\0\0\0\x01", "end-of-file", id="a file cut short"),
    ],
)
def test_what_is_no_module_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    fault = fault_of(content, tmp_path)
    assert fault.kind is FaultKind.BAD_MODULE
    assert words in fault.message


def test_a_file_that_is_not_there_is_an_io_error(tmp_path: Path) -> None:
    with pytest.raises(FaultError) as caught:
        CompileChild.start(tmp_path / "absent.wasm", BOUNDS).finish()
    assert caught.value.fault.kind is FaultKind.IO_ERROR


def test_a_module_that_needs_more_memory_than_the_member_has_asks_for_a_bigger_pool(tmp_path: Path) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(many_functions(5000))
    # From a process of its own: the child may use again what its parent has freed, and this one has freed much.
    ended = subprocess.run([sys.executable, "-c", COMPILE, str(path)], capture_output=True, text=True, check=True)
    kind, message, remedy = ended.stdout.splitlines()
    assert kind == FaultKind.MEMORY_EXCEEDED
    assert "24Mi" in message
    assert "bigger pool" in remedy


def test_a_module_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    for bounds in (CompileBounds(1 << 30, cpu_seconds=1), CompileBounds(1 << 30, wall_seconds=1)):
        assert fault_of(many_functions(20_000), tmp_path, bounds).kind is FaultKind.TIMED_OUT


def test_a_killed_child_is_gone_and_can_be_killed_again(tmp_path: Path) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(many_functions(5000))
    before = set(os.listdir("/proc/self/fd")), children()
    child = CompileChild.start(path, BOUNDS)
    child.kill()
    child.kill()
    assert (set(os.listdir("/proc/self/fd")), children()) == before
