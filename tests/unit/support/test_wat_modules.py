"""The modules that other tests stand on do what they say, on bare wasmtime."""

from pathlib import Path

import pytest
import wasmtime

from tests.support import wat


def run(module: bytes, tmp_path: Path, stdin: bytes = b"", arguments: tuple[str, ...] = ()) -> bytes:
    configuration = wasmtime.Config()
    configuration.consume_fuel = True
    # Its threads would stay in this process, and compilers that other tests fork from it would wait for them for ever.
    configuration.parallel_compilation = False
    engine = wasmtime.Engine(configuration)
    store = wasmtime.Store(engine)
    # Little enough that a module which spews writes a few megabytes.
    store.set_fuel(100_000)
    store.set_limits(memory_size=64 * 65536)
    (tmp_path / "stdin").write_bytes(stdin)
    (tmp_path / "out").mkdir(exist_ok=True)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ("program", *arguments)
    wasi.env = [("COLOUR", "blue")]
    wasi.stdin_file = str(tmp_path / "stdin")
    wasi.stdout_file = str(tmp_path / "stdout")
    wasi.stderr_file = str(tmp_path / "stderr")
    wasi.preopen_dir(str(tmp_path / "out"), "/out")
    store.set_wasi(wasi)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    exports = linker.instantiate(store, wasmtime.Module(engine, module)).exports(store)
    start = exports["_start"]
    assert isinstance(start, wasmtime.Func)
    start(store)
    return (tmp_path / "stdout").read_bytes()


def test_write_line_writes_its_line(tmp_path: Path) -> None:
    assert run(wat.write_line("héllo"), tmp_path) == "héllo\n".encode()


def test_echo_copies_stdin_of_any_size(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    assert run(wat.echo(), tmp_path, data) == data


def test_arguments_and_environment_are_listed(tmp_path: Path) -> None:
    assert run(wat.arguments(), tmp_path, arguments=("a", "b c")) == b"program\0a\0b c\0"
    assert run(wat.environment(), tmp_path) == b"COLOUR=blue\0"


def test_sleep_wakes_up(tmp_path: Path) -> None:
    assert run(wat.sleep(10), tmp_path) == b"awake\n"


def test_write_files_writes_so_many_files(tmp_path: Path) -> None:
    run(wat.write_files(12, 3), tmp_path)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{number:05}" for number in range(12)]
    assert (tmp_path / "out" / "00011").stat().st_size == 3


def test_exit_code_complains_and_exits(tmp_path: Path) -> None:
    with pytest.raises(wasmtime.ExitTrap) as caught:
        run(wat.exit_code(3, "no such tile"), tmp_path)
    assert caught.value.code == 3
    assert (tmp_path / "stderr").read_bytes() == b"no such tile"


@pytest.mark.parametrize(
    ("module", "code"),
    [
        pytest.param(wat.trap(), wasmtime.TrapCode.UNREACHABLE, id="trap hits unreachable"),
        pytest.param(wat.grow(), wasmtime.TrapCode.UNREACHABLE, id="grow traps when memory is refused"),
        pytest.param(wat.loop(), wasmtime.TrapCode.OUT_OF_FUEL, id="loop ends by fuel"),
        pytest.param(wat.spew(), wasmtime.TrapCode.OUT_OF_FUEL, id="spew ends by fuel"),
    ],
)
def test_modules_that_never_end_well_trap(module: bytes, code: wasmtime.TrapCode, tmp_path: Path) -> None:
    with pytest.raises(wasmtime.Trap) as caught:
        run(module, tmp_path)
    assert caught.value.trap_code == code
