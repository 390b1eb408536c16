"""One instance of a stepping module: its steps, and its state from outside.

The calls below are those of `wasmtime/func.h`, `global.h` and `val.h` of wasmtime 50: wasmtime-py's `Func` costs 24 us
a call, and its `Global` turns NaNs into others.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import wasmtime
from wasmtime import _ffi

from tasklet_runner.sandbox.checking import STEP, is_step
from tasklet_runner.sandbox.native import MAX_TABLE_ELEMENTS, WASM_PAGE_BYTES, RunBounds
from tasklet_runner.sandbox.rewriting import GLOBAL_EXPORT, MEMORY_EXPORT
from tasklet_runner.sandbox.standard_input import FD_READ, StandardInput
from tasklet_runner.wire.errors import InputError

INITIALIZE = "_initialize"

GlobalValue = tuple[int, int, bytes]
"""Index, wasmtime's kind of value, and its 16 bytes."""

_INSTANCES = 2  # the module's, and the one that lends its memory to WASI's fd_read


@dataclass(frozen=True)
class SteppingModule:
    """A module whose state was exposed (see `rewriting`), linked; run one instance of it at a time."""

    engine: wasmtime.Engine
    linked: wasmtime.InstancePre
    stdin: StandardInput
    reads_stdin: bool
    globals: tuple[tuple[int, str], ...]
    has_memory: bool
    initializes: bool

    @classmethod
    def of(cls, engine: wasmtime.Engine, module: wasmtime.Module) -> "SteppingModule":
        """Link it. Raises WasmtimeError for imports that do not fit."""
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        stdin = StandardInput(engine)
        reads_stdin = any(item.name == FD_READ for item in module.imports)
        if reads_stdin:
            stdin.define(linker)
        names = [export.name for export in module.exports]
        return cls(
            engine=engine,
            linked=linker.instantiate_pre(module),
            stdin=stdin,
            reads_stdin=reads_stdin,
            globals=tuple((int(name.removeprefix(GLOBAL_EXPORT)), name) for name in names if GLOBAL_EXPORT in name),
            has_memory=MEMORY_EXPORT in names,
            initializes=INITIALIZE in names,
        )


def is_stepping(module: wasmtime.Module) -> bool:
    """True for native code of a module that exports `step`, which takes nothing and returns one i32."""
    return any(export.name == STEP and is_step(export.type) for export in module.exports)


class Instance:
    """A fresh instance. Every call of the module raises ExitTrap, Trap or WasmtimeError when it does not return."""

    def __init__(self, module: SteppingModule, wasi: int, bounds: RunBounds) -> None:
        """Instantiate; takes ownership of `wasi`, a `wasi_config_t`."""
        self._module = module
        self._store = wasmtime.Store(module.engine)
        _set_wasi(self._store, wasi)
        self._store.set_limits(bounds.memory, MAX_TABLE_ELEMENTS, _INSTANCES, -1, 1)
        self._store.set_fuel(bounds.fuel)
        self._store.set_epoch_deadline(bounds.epochs)
        self._bounds = bounds
        self._exports = module.linked.instantiate(self._store).exports(self._store)
        memory = self._exports[MEMORY_EXPORT] if module.has_memory else None
        self._memory = memory if isinstance(memory, wasmtime.Memory) else None
        if module.reads_stdin and self._memory is not None:
            module.stdin.attach(self._store, self._memory)
        self._result = _ffi.wasmtime_val_t()
        self._trap: Any = ctypes.POINTER(_ffi.wasm_trap_t)()

    def initialize(self) -> None:
        """Call what a reactor wants to be called first."""
        if self._module.initializes:
            self._call(INITIALIZE, 0)

    def step(self) -> int:
        """One step; what it returned."""
        self._call(STEP, 1)
        return int(self._result.of.i32)

    def _call(self, name: str, results: int) -> None:
        function = self._exports[name]
        error = _ffi.wasmtime_func_call(
            self._store._context(),
            ctypes.byref(function._func),  # type: ignore[union-attr]  # its type was seen when it was linked
            None,
            0,
            ctypes.byref(self._result),
            results,
            ctypes.byref(self._trap),
        )
        _raise_error(error)
        if self._trap:
            trap, self._trap = self._trap, ctypes.POINTER(_ffi.wasm_trap_t)()
            raise wasmtime.Trap._from_ptr(trap)

    @property
    def fuel_used(self) -> int:
        """What has been used of the bounds' fuel."""
        return self._bounds.fuel - self._store.get_fuel()

    def set_fuel_used(self, used: int) -> None:
        """Go on as if so much of it had been used."""
        self._store.set_fuel(max(0, self._bounds.fuel - max(0, used)))

    @property
    def memory_bytes(self) -> int:
        """The size of linear memory."""
        return self._memory.data_len(self._store) if self._memory else 0

    def grow_memory(self, pages: int) -> None:
        """Make memory as large as a snapshot's. Raises InputError when it may not be, or is larger already."""
        current = self.memory_bytes // WASM_PAGE_BYTES
        try:
            if self._memory is not None and current < pages:
                self._memory.grow(self._store, pages - current)
        except wasmtime.WasmtimeError as error:
            raise InputError(
                f"the snapshot has {pages} pages of memory, more than the tasklet may have",
                remedy="raise spec.tasklet.memory to what it was when the snapshot was taken",
            ) from error
        if self.memory_bytes != pages * WASM_PAGE_BYTES:
            raise InputError(f"the snapshot has {pages} pages of memory, a new instance has {current}")

    @contextmanager
    def memory(self) -> Iterator[memoryview]:
        """All of linear memory, to be read and written; not to be used after the block."""
        if self._memory is None:
            yield memoryview(bytearray())
            return
        address = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        with memoryview((ctypes.c_ubyte * self.memory_bytes).from_address(address)).cast("B") as view:
            yield view

    def global_values(self) -> tuple[GlobalValue, ...]:
        """The values of all mutable globals."""
        found = []
        for index, name in self._module.globals:
            value = _ffi.wasmtime_val_t()
            _ffi.wasmtime_global_get(self._store._context(), self._global(name), ctypes.byref(value))
            found.append((index, int(value.kind), ctypes.string_at(ctypes.addressof(value.of), 16)))
        return tuple(found)

    def set_global_values(self, values: tuple[GlobalValue, ...]) -> None:
        """Give every mutable global its value. Raises InputError when they are not those of this module."""
        if tuple(index for index, _, _ in values) != tuple(index for index, _ in self._module.globals):
            raise InputError("the snapshot has other globals than the module")
        for (_, kind, data), (index, name) in zip(values, self._module.globals, strict=True):
            value = _ffi.wasmtime_val_t()
            value.kind = ctypes.c_uint8(kind)
            ctypes.memmove(ctypes.addressof(value.of), data, 16)
            try:
                _raise_error(_ffi.wasmtime_global_set(self._store._context(), self._global(name), ctypes.byref(value)))
            except wasmtime.WasmtimeError as error:
                raise InputError(f"the snapshot has a value of another type for global {index}") from error

    def _global(self, name: str) -> object:
        return ctypes.byref(self._exports[name]._global)  # type: ignore[union-attr]  # exported by `rewriting`

    def close(self) -> None:
        """Free it."""
        self._store.close()


def open_files() -> dict[int, str]:
    """Files and directories that this process has open, by descriptor."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # that of the listing itself
        if path.startswith("/"):
            found[int(name)] = path
    return found


def _set_wasi(store: wasmtime.Store, wasi: int) -> None:
    config = ctypes.cast(wasi, ctypes.POINTER(_ffi.wasi_config_t))
    _raise_error(_ffi.wasmtime_context_set_wasi(store._context(), config))


def _raise_error(error: Any) -> None:  # noqa: ANN401 - a pointer, which is false when it is none; its stub says never
    if error:
        raise wasmtime.WasmtimeError._from_ptr(error)
