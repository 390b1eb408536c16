"""What a module must be to run here, with words for each way in which it is not."""

import wasmtime

from tasklet_runner.sandbox.outcomes import clipped
from tasklet_runner.wire.faults import Fault, FaultKind

WASI_MODULE = "wasi_snapshot_preview1"

STEP = "step"
"""What a module exports that is run step by step."""

_MAX_PROBLEM = 2000

_CORE_MODULE = b"\0asm\x01\0\0\0"

_COMMAND = "build it as a command, with a main function"

_STEP = "declare it as `int step(void)`, or build the module as a command, with a main function"

_OTHER_FORMATS = (
    (b"\0asm\x0d\0\x01\0", "a WebAssembly component", "build a core module for WASI preview 1 (wasm32-wasip1)"),
    (b"\0asm", "a WebAssembly module of an unknown version", "build it with a current tool chain"),
    (b"\x7fELF", "a native Linux program", "build it for wasm32-wasip1"),
    (b"#!", "a script", "give a Python file as spec.tasklet.python"),
    (b"(", "WebAssembly text", "translate it with wat2wasm"),
)


def foreign_format(wasm: bytes) -> Fault | None:
    """BadModule for bytes that are no WebAssembly core module, saying what they are."""
    if wasm.startswith(_CORE_MODULE):
        return None
    for magic, found, remedy in _OTHER_FORMATS:
        if wasm.startswith(magic):
            return bad_module(f"it is {found}", remedy)
    return bad_module("it does not start as a WebAssembly module does", "build it for wasm32-wasip1")


def missing_parts(engine: wasmtime.Engine, module: wasmtime.Module, *, steps: bool = False) -> Fault | None:
    """BadModule for a module that is no WASI preview-1 command, naming every import that it lacks here.

    `steps`: one that exports `step` needs not be a command.
    """
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    foreign = [f"{item.module}.{item.name}" for item in module.imports if item.module != WASI_MODULE]
    if foreign:
        return bad_module(
            f"it imports what a tasklet cannot have: {_some(foreign)}",
            f"build it for wasm32-wasip1, so that it imports functions of {WASI_MODULE} only",
        )
    try:
        linker.instantiate_pre(module)
    except wasmtime.WasmtimeError as error:
        return bad_module(f"its imports do not fit WASI preview 1: {_one_line(error)}", "build it for wasm32-wasip1")
    return _missing_export(module, steps)


def is_step(export: object) -> bool:
    """True for a function that takes nothing and returns one i32."""
    if not isinstance(export, wasmtime.FuncType):
        return False
    return not export.params and [str(result) for result in export.results] == ["i32"]


def bad_module(problem: str, remedy: str) -> Fault:
    """The fault BadModule; `problem` follows "the module is not usable"."""
    return Fault(
        kind=FaultKind.BAD_MODULE, message=f"the module is not usable: {clipped(problem, _MAX_PROBLEM)}", remedy=remedy
    )


def _missing_export(module: wasmtime.Module, steps: bool) -> Fault | None:
    exports = {export.name: export.type for export in module.exports}
    if module.imports and not isinstance(exports.get("memory"), wasmtime.MemoryType):
        return bad_module("it exports no memory named `memory`, which WASI functions read and write", _COMMAND)
    step = exports.get(STEP) if steps else None
    if is_step(step):
        return None
    start = exports.get("_start")
    if isinstance(start, wasmtime.FuncType) and not start.params and not start.results:
        return None
    return _not_a_command(list(exports), steps=step is not None)


def _not_a_command(exports: list[str], *, steps: bool) -> Fault:
    if steps:
        return bad_module(f"its export `{STEP}` is no function without parameters that returns one i32", _STEP)
    if "_initialize" in exports:
        return bad_module("it is a WASI reactor (it exports `_initialize`, not `_start`)", _COMMAND)
    if "_start" in exports:
        return bad_module("its export `_start` is not a function without parameters and results", _COMMAND)
    return bad_module(f"it exports no `_start`, only {_some(exports) or 'nothing'}", _COMMAND)


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{name[:100]}`" for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _one_line(error: wasmtime.WasmtimeError) -> str:
    return " ".join(str(error).split())
