"""A thin layer over wasmtime's C API for the one path that counts: a fresh instance per task.

The functions and their meaning are those of the C headers `wasi.h`, `wasmtime/store.h`, `instance.h` and `func.h` of
wasmtime 50. wasmtime-py's own classes cost 100 us and more per run, mostly in looking up function types and in
wrapping pointers, and do not offer `wasi_config_set_stdin_bytes`; everything off this path uses those classes.
"""

import ctypes
import os
from collections.abc import Callable
from ctypes import c_bool, c_char_p, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any, TypeAlias

import wasmtime
from wasmtime import _ffi

WASM_PAGE_BYTES = 65536

MAX_TABLE_ELEMENTS = 1 << 20

_EXTERN_MEMORY = 3

# Two handles of one library: through the first a call lets other Python threads run meanwhile; the second keeps the
# interpreter's lock, which halves the cost of a call that only sets a field.
_LIBRARY = _ffi.dll
_QUICK = ctypes.PyDLL(_LIBRARY._name, handle=_LIBRARY._handle)


_CType: TypeAlias = "type[ctypes._SimpleCData[Any]]"


def _declare(library: ctypes.CDLL, name: str, result: "_CType | None", *arguments: "_CType") -> Callable[..., Any]:
    # Indexing makes a function object of our own, so that wasmtime-py's prototypes stay as they are.
    function = library[name]
    function.restype = result
    function.argtypes = list(arguments)
    return function


_bytes_new = _declare(_QUICK, "wasm_byte_vec_new", None, c_void_p, c_size_t, c_char_p)
_bytes_delete = _declare(_QUICK, "wasm_byte_vec_delete", None, c_void_p)
_config_new = _declare(_QUICK, "wasi_config_new", c_void_p)
_config_delete = _declare(_QUICK, "wasi_config_delete", None, c_void_p)
_set_argv = _declare(_QUICK, "wasi_config_set_argv", c_bool, c_void_p, c_size_t, c_void_p)
_set_env = _declare(_QUICK, "wasi_config_set_env", c_bool, c_void_p, c_size_t, c_void_p, c_void_p)
_set_stdin_bytes = _declare(_QUICK, "wasi_config_set_stdin_bytes", None, c_void_p, c_void_p)
_set_stdin_file = _declare(_LIBRARY, "wasi_config_set_stdin_file", c_bool, c_void_p, c_char_p)
_set_stdout_file = _declare(_QUICK, "wasi_config_set_stdout_file", c_bool, c_void_p, c_char_p)
_set_stderr_file = _declare(_QUICK, "wasi_config_set_stderr_file", c_bool, c_void_p, c_char_p)
_preopen = _declare(_QUICK, "wasi_config_preopen_dir", c_bool, c_void_p, c_char_p, c_char_p, c_bool)
_store_new = _declare(_QUICK, "wasmtime_store_new", c_void_p, c_void_p, c_void_p, c_void_p)
_store_delete = _declare(_LIBRARY, "wasmtime_store_delete", None, c_void_p)
_store_limit = _declare(_QUICK, "wasmtime_store_limiter", None, c_void_p, *[c_int64] * 5)
_store_context = _declare(_QUICK, "wasmtime_store_context", c_void_p, c_void_p)
_set_fuel = _declare(_QUICK, "wasmtime_context_set_fuel", c_void_p, c_void_p, c_uint64)
_get_fuel = _declare(_QUICK, "wasmtime_context_get_fuel", c_void_p, c_void_p, c_void_p)
_set_epoch = _declare(_QUICK, "wasmtime_context_set_epoch_deadline", None, c_void_p, c_uint64)
_set_wasi = _declare(_QUICK, "wasmtime_context_set_wasi", c_void_p, c_void_p, c_void_p)
_instantiate = _declare(_LIBRARY, "wasmtime_instance_pre_instantiate", c_void_p, *[c_void_p] * 4)
_export = _declare(_QUICK, "wasmtime_instance_export_get", c_bool, c_void_p, c_void_p, c_char_p, c_size_t, c_void_p)
_call = _declare(
    _LIBRARY, "wasmtime_func_call", c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p
)
_memory_pages = _declare(_QUICK, "wasmtime_memory_size", c_uint64, c_void_p, c_void_p)
_serialize = _declare(_LIBRARY, "wasmtime_module_serialize", c_void_p, c_void_p, c_void_p)

_pool_new = _declare(_QUICK, "wasmtime_pooling_allocation_config_new", c_void_p)
_pool_delete = _declare(_QUICK, "wasmtime_pooling_allocation_config_delete", None, c_void_p)
_pool_use = _declare(_QUICK, "wasmtime_pooling_allocation_strategy_set", None, c_void_p, c_void_p)


def use_pool(config: wasmtime.Config, settings: dict[str, int]) -> None:
    """Let the engine reuse the address space of ended instances (`PoolingAllocationConfig`), with these settings."""
    pool = _pool_new()
    for name, value in settings.items():
        kind = c_uint32 if name.startswith("total_") else c_size_t
        _declare(_QUICK, f"wasmtime_pooling_allocation_config_{name}_set", None, c_void_p, kind)(pool, value)
    _pool_use(config.ptr(), pool)
    _pool_delete(pool)


def serialize(module: wasmtime.Module, write: Callable[[memoryview], object]) -> None:
    """Hand the module's native code to `write` without a second copy of it."""
    vector = _ffi.wasm_byte_vec_t()
    error = _serialize(module.ptr(), ctypes.byref(vector))
    if error:
        raise _error_at(error)
    try:
        code = (ctypes.c_ubyte * vector.size).from_address(ctypes.addressof(vector.data.contents))
        write(memoryview(code))
    finally:
        _bytes_delete(ctypes.byref(vector))


def char_array(texts: list[bytes]) -> "ctypes.Array[c_char_p]":
    """A C array of strings; assigning to an item replaces that string and keeps it alive."""
    return (c_char_p * len(texts))(*texts)


@dataclass
class WasiSettings:
    """What every run of one program is given; `argv` and `env_values` may be changed between runs.

    `preopens`: (host directory, guest path, writable).
    """

    argv: "ctypes.Array[c_char_p]"
    env_names: "ctypes.Array[c_char_p]"
    env_values: "ctypes.Array[c_char_p]"
    stdout: bytes
    stderr: bytes
    preopens: tuple[tuple[bytes, bytes, bool], ...] = ()


def build_wasi(settings: WasiSettings, stdin: bytes, stdin_file: bytes | None = None) -> int:
    """A `wasi_config_t` for one run, owned by the store it is given to.

    stdout and stderr are truncated. stdin is `stdin`, held in memory (a file costs a helper thread and 100 us), or
    `stdin_file` where a file or FIFO is wanted.

    Raises:
        OSError: one of the files or directories cannot be opened.
    """
    config: int = _config_new()
    _set_argv(config, len(settings.argv), settings.argv)
    _set_env(config, len(settings.env_names), settings.env_names, settings.env_values)
    opened = _set_stdout_file(config, settings.stdout) and _set_stderr_file(config, settings.stderr)
    if stdin_file is not None:
        opened = opened and _set_stdin_file(config, stdin_file)
    elif stdin:
        vector = _ffi.wasm_byte_vec_t()
        address = ctypes.byref(vector)
        _bytes_new(address, len(stdin), stdin)
        _set_stdin_bytes(config, address)
    for host, guest, writable in settings.preopens:
        opened = opened and _preopen(config, host, guest, writable)
    if not opened:
        _config_delete(config)
        os.close(os.open(os.devnull, os.O_RDONLY))  # raises what it was, where no descriptor is left
        raise OSError(f"the sandbox cannot open the files of a run beside {settings.stdout!r}")
    return config


@dataclass(frozen=True)
class RunBounds:
    """The bounds of one instance: fuel, linear memory in bytes, increments of the engine's epoch."""

    fuel: int
    memory: int
    epochs: int


@dataclass(slots=True)
class Ending:
    """How a run ended: it returned (`error` is None), exited (ExitTrap), trapped (Trap), or a WASI function refused
    what it was called with (another WasmtimeError); `started` is False when there was no instance to run.

    `memory`: the size in bytes to which the exported memory had grown, known only when it failed. `code`: what a
    `step` returned that is neither "done" nor "more".
    """

    fuel_left: int
    error: wasmtime.WasmtimeError | wasmtime.Trap | None = None
    memory: int = 0
    started: bool = True
    code: int = 0


class LinkedModule:
    """A WASI command module with its imports resolved once; each `run` makes and frees an instance."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        self._engine = engine
        self._prelinked = linker.instantiate_pre(module)
        self._engine_address = ctypes.cast(engine.ptr(), c_void_p).value
        self._prelinked_address = ctypes.cast(self._prelinked.ptr(), c_void_p).value
        # One set of out-parameters for all runs; nothing of a run stays in them.
        self._instance = ctypes.byref(_ffi.wasmtime_instance_t())
        self._extern = _ffi.wasmtime_extern_t()
        self._item = ctypes.byref(self._extern)
        self._function = ctypes.byref(self._extern.of)
        self._trap = c_void_p()
        self._trap_address = ctypes.byref(self._trap)
        self._fuel = c_uint64()
        self._fuel_address = ctypes.byref(self._fuel)

    def run(self, wasi: int, bounds: RunBounds) -> Ending:
        """Run `_start` in a fresh instance. Takes ownership of `wasi`."""
        store = _store_new(self._engine_address, None, None)
        _store_limit(store, bounds.memory, MAX_TABLE_ELEMENTS, 1, -1, 1)
        context = _store_context(store)
        _set_fuel(context, bounds.fuel)
        _set_epoch(context, bounds.epochs)
        _set_wasi(context, wasi)
        try:
            error = _instantiate(self._prelinked_address, context, self._instance, self._trap_address)
            if error or self._trap.value:
                return Ending(bounds.fuel, self._failure(error), started=False)
            _export(context, self._instance, b"_start", 6, self._item)
            error = _call(context, self._function, None, 0, None, 0, self._trap_address)
            _get_fuel(context, self._fuel_address)
            if error or self._trap.value:
                return Ending(self._fuel.value, self._failure(error), self._memory_size(context))
            return Ending(self._fuel.value)
        finally:
            _store_delete(store)

    def _failure(self, error: int | None) -> wasmtime.WasmtimeError | wasmtime.Trap:
        return _error_at(error) if error else self._take_trap()

    def _take_trap(self) -> wasmtime.Trap:
        trap = ctypes.cast(self._trap, ctypes.POINTER(_ffi.wasm_trap_t))
        self._trap.value = None
        return wasmtime.Trap._from_ptr(trap)

    def _memory_size(self, context: int) -> int:
        if not _export(context, self._instance, b"memory", 6, self._item) or int(self._extern.kind) != _EXTERN_MEMORY:
            return 0
        return int(_memory_pages(context, self._function)) * WASM_PAGE_BYTES

    def close(self) -> None:
        """Free the module's code."""
        self._prelinked.close()


def _error_at(address: int) -> wasmtime.WasmtimeError:
    return wasmtime.WasmtimeError._from_ptr(ctypes.cast(address, ctypes.POINTER(_ffi.wasmtime_error_t)))
