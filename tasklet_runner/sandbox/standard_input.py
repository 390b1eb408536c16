"""stdin of a stepping module: where it has read to is part of its state, and WASI's own stdin does not tell.

So `fd_read` is ours for such modules (WASI preview 1: https://github.com/WebAssembly/WASI, `fd_read`). It answers for
descriptor 0. For all others it calls WASI's, through an instance of a few lines that lends it the module's memory: a
WASI function looks for memory at its caller.
"""

import os
import struct
from pathlib import Path

import wasmtime

from tasklet_runner.sandbox.checking import WASI_MODULE

FD_READ = "fd_read"

_STDIN = 0
_ERRNO_FAULT = 21
_ERRNO_INVALID = 28
_ERRNO_IO = 29
_FD_READ_TYPE = "(param i32 i32 i32 i32) (result i32)"
_FORWARD = f"""(module
  (import "" "memory" (memory 0))
  (import "" "fd_read" (func {_FD_READ_TYPE}))
  (export "memory" (memory 0))
  (func (export "forward") {_FD_READ_TYPE}
    local.get 0 local.get 1 local.get 2 local.get 3 call 0))"""
_VECTOR = struct.Struct("<II")
_MAX_VECTORS = 1024
_MAX_READ_BYTES = 1024 * 1024
"""No module may have the host reserve more than this for one piece; it reads again."""


class StandardInput:
    """The stdin of one run after the other, for modules that are linked with `define`."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._wasi = wasmtime.Linker(engine)
        self._wasi.define_wasi()
        self._forwarding = wasmtime.Module(engine, bytes(wasmtime.wat2wasm(_FORWARD)))
        self._data = b""
        self._descriptor = -1
        self._forward: wasmtime.Func | None = None
        self.position = 0

    def define(self, linker: wasmtime.Linker) -> None:
        """Take the place of WASI's `fd_read` in the linker."""
        i32 = wasmtime.ValType.i32
        linker.allow_shadowing = True
        kind = wasmtime.FuncType([i32(), i32(), i32(), i32()], [i32()])
        linker.define_func(WASI_MODULE, FD_READ, kind, self._fd_read, access_caller=True)

    def begin(self, data: bytes, file: Path | None) -> None:
        """The next run reads these bytes, or this file, from its start."""
        self._data = data
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC) if file else -1
        self.position = 0

    def attach(self, store: wasmtime.Store, memory: wasmtime.Memory) -> None:
        """Let the other descriptors of this instance be read."""
        theirs = self._wasi.get(store, WASI_MODULE, FD_READ)
        instance = wasmtime.Instance(store, self._forwarding, [memory, theirs])
        forward = instance.exports(store)["forward"]
        assert isinstance(forward, wasmtime.Func)  # noqa: S101 - narrows the type of an export that stands above
        self._forward = forward

    def end(self) -> None:
        """Let go of the run's file and instance."""
        self._forward = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _fd_read(self, caller: wasmtime.Caller, descriptor: int, vectors: int, count: int, result: int) -> int:
        # Nothing may be raised into WebAssembly: what the module gave wrongly it is told as WASI would.
        try:
            if descriptor != _STDIN:
                return self._read_other(caller, descriptor, vectors, count, result)
            return self._read(caller, vectors & 0xFFFFFFFF, count & 0xFFFFFFFF, result & 0xFFFFFFFF)
        except (IndexError, KeyError, wasmtime.WasmtimeError, wasmtime.Trap):
            return _ERRNO_FAULT
        except OSError:
            return _ERRNO_IO

    def _read_other(self, caller: wasmtime.Caller, *arguments: int) -> int:
        return int(self._forward(caller, *arguments)) if self._forward else _ERRNO_FAULT

    def _read(self, caller: wasmtime.Caller, vectors: int, count: int, result: int) -> int:
        memory = caller["memory"]
        if not isinstance(memory, wasmtime.Memory):
            return _ERRNO_FAULT
        if count > _MAX_VECTORS:
            return _ERRNO_INVALID
        total = 0
        for number in range(count):
            at, length = _vector(memory, caller, vectors + number * _VECTOR.size)
            data = self._next(length)
            if data:
                memory.write(caller, data, at)
            self.position += len(data)
            total += len(data)
            if len(data) < length:
                break
        memory.write(caller, total.to_bytes(4, "little"), result)
        return 0

    def _next(self, length: int) -> bytes:
        length = min(length, _MAX_READ_BYTES)
        if self._descriptor >= 0:
            return os.pread(self._descriptor, length, self.position)
        return self._data[self.position : self.position + length]


def _vector(memory: wasmtime.Memory, caller: wasmtime.Caller, address: int) -> tuple[int, int]:
    found = bytes(memory.read(caller, address, address + _VECTOR.size))
    if len(found) < _VECTOR.size:
        raise IndexError("an iovec outside of memory")
    at, length = _VECTOR.unpack(found)
    return at, length
