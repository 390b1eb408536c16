"""The physical limit: bare wasmtime with the same ABI (stdin, stdout, argv, env, fuel, limits) in a loop, one process a core.

What the loop leaves out is what a platform adds: leases, frames, retries, a store, a receipt.
"""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import wasmtime

MODULE = Path(__file__).with_name("line.wat")


def tasklets_per_second(count: int, processes: int = 2) -> float:
    """Runs `count` tasklets in all; returns the rate while every process was in its loop."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_warm, range(processes))
        started = time.perf_counter()
        pool.map(_loop, [count // processes] * processes, chunksize=1)
        return count / (time.perf_counter() - started)


def python_per_second(count: int, module: Path, source: str, processes: int = 2) -> float:
    """The bare interpreter loop: CPython for WASI, a fresh instance for each run of `source`."""
    code = compile_once(module)
    try:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.map(_warm, range(processes))
            started = time.perf_counter()
            pool.starmap(_python_loop, [(code, source, count // processes)] * processes, chunksize=1)
            return count / (time.perf_counter() - started)
    finally:
        code.unlink()


def compile_once(module: Path) -> Path:
    """The module's native code in a temporary file, compiled by one process on one core."""
    engine = _engine()
    with tempfile.NamedTemporaryFile(suffix=".cwasm", delete=False) as file:
        file.write(wasmtime.Module.from_file(engine, str(module)).serialize())
    return Path(file.name)


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.parallel_compilation = False
    return wasmtime.Engine(config)


def _warm(_: int) -> None:
    time.sleep(0.2)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)  # noqa: S108 (the limit wants a tmpfs)


def _loop(count: int) -> None:
    engine = _engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module(engine, MODULE.read_text())
    with _scratch() as folder:
        stdin, stdout = f"{folder}/stdin", f"{folder}/stdout"
        for index in range(count):
            Path(stdin).write_bytes(b"line %d" % index)
            store = _store(engine, stdin, stdout)
            linker.instantiate(store, module).exports(store)["_start"](store)  # type: ignore[operator]
            assert Path(stdout).read_bytes() == b"line %d\n" % index


def _store(engine: wasmtime.Engine, stdin: str, stdout: str) -> wasmtime.Store:
    store = wasmtime.Store(engine)
    store.set_fuel(10_000_000_000)
    store.set_epoch_deadline(1000)
    store.set_limits(memory_size=256 * 1024 * 1024)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["line", "argument"]
    wasi.env = [("NAME", "value")]
    wasi.stdin_file = stdin
    wasi.stdout_file = stdout
    store.set_wasi(wasi)
    return store


def _python_loop(code: Path, source: str, count: int) -> None:
    engine = _engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module.deserialize_file(engine, str(code))
    with _scratch() as folder:
        Path(f"{folder}/stdin").write_bytes(b"")
        for _ in range(count):
            _python_run(engine, linker, module, folder, source)


def _python_run(
    engine: wasmtime.Engine, linker: wasmtime.Linker, module: wasmtime.Module, folder: str, source: str
) -> None:
    store = _store(engine, f"{folder}/stdin", f"{folder}/stdout")
    store.set_fuel(100_000_000_000)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["python", "-c", source]
    wasi.stdin_file = f"{folder}/stdin"
    wasi.stdout_file = f"{folder}/stdout"
    store.set_wasi(wasi)
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)  # type: ignore[operator]
    except wasmtime.ExitTrap as exit_:
        assert exit_.code == 0
    assert Path(f"{folder}/stdout").read_bytes()
