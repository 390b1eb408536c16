"""The physical limit: bare wasmtime with the same ABI (stdin, stdout, argv, env, fuel, limits), one process a core.

What the loops leave out is what a platform adds: leases, frames, retries, a store, a receipt.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import wasmtime

from tasklet_runner.sandbox import native
from tasklet_runner.sandbox.engine import new_engine

MODULE = Path(__file__).with_name("line.wat")
FUEL = 10_000_000_000
PYTHON_FUEL = 100_000_000_000
MEMORY = 256 * 1024 * 1024


def tasklets_per_second(count: int, processes: int = 2) -> float:
    """The limit: `count` tasklets over the thinnest layer on wasmtime's C API and its pooling allocator."""
    return _rate(_thin_loop, count, processes)


def plain_tasklets_per_second(count: int, processes: int = 2) -> float:
    """What one gets from wasmtime-py's own classes, as its documentation shows them."""
    return _rate(_plain_loop, count, processes)


def _rate(loop: Callable[[int], None], count: int, processes: int) -> float:
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_warm, range(processes))
        started = time.perf_counter()
        pool.map(loop, [count // processes] * processes, chunksize=1)
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
    with tempfile.NamedTemporaryFile(suffix=".cwasm", delete=False) as file:
        file.write(wasmtime.Module.from_file(new_engine(), str(module)).serialize())
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


def _thin_loop(count: int) -> None:
    engine = new_engine()
    module = native.LinkedModule(engine, wasmtime.Module(engine, MODULE.read_text()))
    with _scratch() as folder:
        settings = _settings(folder, [b"line", b"argument"])
        stdout = os.open(settings.stdout, os.O_RDWR | os.O_CREAT)
        bounds = native.RunBounds(fuel=FUEL, memory=MEMORY, epochs=6000)
        for index in range(count):
            ending = module.run(native.build_wasi(settings, b"line %d" % index), bounds)
            assert ending.error is None
            assert os.pread(stdout, 4096, 0) == b"line %d\n" % index


def _settings(folder: str, argv: list[bytes]) -> native.WasiSettings:
    return native.WasiSettings(
        argv=native.char_array(argv),
        env_names=native.char_array([b"NAME"]),
        env_values=native.char_array([b"value"]),
        stdout=f"{folder}/stdout".encode(),
        stderr=f"{folder}/stderr".encode(),
    )


def _plain_loop(count: int) -> None:
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
    store.set_fuel(FUEL)
    store.set_epoch_deadline(1000)
    store.set_limits(memory_size=MEMORY)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["line", "argument"]
    wasi.env = [("NAME", "value")]
    wasi.stdin_file = stdin
    wasi.stdout_file = stdout
    store.set_wasi(wasi)
    return store


def _python_loop(code: Path, source: str, count: int) -> None:
    engine = new_engine()
    module = native.LinkedModule(engine, wasmtime.Module.deserialize_file(engine, str(code)))
    with _scratch() as folder:
        settings = _settings(folder, [b"python", b"-c", source.encode()])
        stdout = os.open(settings.stdout, os.O_RDWR | os.O_CREAT)
        bounds = native.RunBounds(fuel=PYTHON_FUEL, memory=MEMORY, epochs=6000)
        for _ in range(count):
            ending = module.run(native.build_wasi(settings, b""), bounds)
            assert ending.error is None or getattr(ending.error, "code", 1) == 0
            assert os.pread(stdout, 4096, 0)
