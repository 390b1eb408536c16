"""Native code from a descriptor into a module that can be run."""

import wasmtime

from tasklet_runner.sandbox.native import LinkedModule
from tasklet_runner.sandbox.outcomes import MemoryBounds, memory_bounds
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind


def load_module(engine: wasmtime.Engine, code_fd: int) -> tuple[LinkedModule, MemoryBounds]:
    """The module of `load_code`, linked. Raises what that raises."""
    return link_module(engine, load_code(engine, code_fd))


def link_module(engine: wasmtime.Engine, module: wasmtime.Module) -> tuple[LinkedModule, MemoryBounds]:
    """A module that can be run, and what it may grow to. Raises FaultError: BadModule for imports that do not fit."""
    try:
        return LinkedModule(engine, module), memory_bounds(module)
    except wasmtime.WasmtimeError as error:
        raise _unloadable(error) from error


def load_code(engine: wasmtime.Engine, code_fd: int) -> wasmtime.Module:
    """The module whose native code `code_fd` holds; the descriptor stays the caller's.

    The code is mapped, not read, so slots that load the same descriptor share its memory. Native code is trusted:
    only what a CompileChild of this configuration wrote may be loaded.

    Raises:
        FaultError: BadModule for code of another version or configuration.
    """
    try:
        return wasmtime.Module.deserialize_file(engine, f"/proc/self/fd/{code_fd}")
    except wasmtime.WasmtimeError as error:
        raise _unloadable(error) from error


def _unloadable(error: wasmtime.WasmtimeError) -> FaultError:
    return FaultError(
        Fault(
            kind=FaultKind.BAD_MODULE,
            message=f"the compiled code cannot be loaded: {error}",
            remedy="compile the module again with this version of wasmtime",
        )
    )
