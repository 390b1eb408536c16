"""From the way a run ended to a typed fault with what a person needs to mend it."""

from dataclasses import dataclass

import wasmtime
from wasmtime import TrapCode

from tasklet_runner.sandbox.native import WASM_PAGE_BYTES, Ending
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Limits

BACKTRACE_FRAMES = 32
"""wasmtime itself keeps twenty."""

MAX_NAME = 500
"""So many letters of a module's name for something are passed on: it may name a function with a megabyte."""

_MEBIBYTE = 1024 * 1024

_OUT_OF_MEMORY_WORDS = (
    b"MemoryError",  # CPython
    b"memory allocation of ",  # Rust's default allocation error hook
    b"std::bad_alloc",
    b"out of memory",
    b"Out of memory",
    b"Cannot allocate memory",  # strerror(ENOMEM)
)


@dataclass(frozen=True)
class MemoryBounds:
    """The module's exported memory: what it starts with, and what it may grow to by its own declaration (bytes)."""

    initial: int = 0
    maximum: int = 0


def memory_bounds(module: wasmtime.Module) -> MemoryBounds:
    """The bounds of the memory that the module exports as `memory`."""
    for export in module.exports:
        if export.name == "memory" and isinstance(export.type, wasmtime.MemoryType):
            limits = export.type.limits
            maximum = limits.max if limits.max is not None else 65536
            return MemoryBounds(limits.min * WASM_PAGE_BYTES, maximum * WASM_PAGE_BYTES)
    return MemoryBounds()


def fault_of(ending: Ending, stderr: bytes, limits: Limits, memory: MemoryBounds) -> Fault | None:
    """The fault of an ended run, or None for success. `stderr` is the tail that was kept."""
    error = ending.error
    if ending.code:
        return _unknown_answer(ending.code, stderr, limits.fuel - ending.fuel_left)
    # The order matters: an ExitTrap is a WasmtimeError, a Trap is not.
    if error is None or (isinstance(error, wasmtime.ExitTrap) and error.code == 0):
        return None
    code = error.trap_code if isinstance(error, wasmtime.Trap) else None
    if code is TrapCode.OUT_OF_FUEL:
        return out_of_fuel(limits, stderr)
    if code is TrapCode.INTERRUPT:
        return timed_out(limits, stderr)
    return _failure(ending, stderr, limits, memory)


def _failure(ending: Ending, stderr: bytes, limits: Limits, memory: MemoryBounds) -> Fault:
    error, used = ending.error, limits.fuel - ending.fuel_left
    if _ran_out_of_memory(ending, stderr, limits, memory):
        return _memory_exceeded(ending, stderr, limits, used)
    if isinstance(error, wasmtime.ExitTrap):
        return _exit_code(error.code, stderr, used)
    if isinstance(error, wasmtime.Trap):
        return _trapped(error, stderr, used)
    return _refused_call(str(error), stderr, used) if ending.started else _not_started(str(error), stderr)


def out_of_fuel(limits: Limits, stderr: bytes) -> Fault:
    """All of the fuel is used; that number is exact and the same each time."""
    return Fault(
        kind=FaultKind.OUT_OF_FUEL,
        message=f"the tasklet used all of its {limits.fuel:,} units of fuel",
        remedy=f"raise spec.tasklet.fuel above {limits.fuel}, or give each chunk less to do",
        fuel_used=limits.fuel,
        stderr=text_of(stderr),
    )


def timed_out(limits: Limits, stderr: bytes) -> Fault:
    """The wall clock. The fuel used is unknown: wasmtime does not bring it up to date at an interruption."""
    return Fault(
        kind=FaultKind.TIMED_OUT,
        message=f"the tasklet ran longer than its {limits.wall_seconds} seconds of wall-clock time",
        remedy="raise spec.tasklet.wallSeconds, or give each chunk less to do",
        stderr=text_of(stderr),
    )


def output_too_large(limits: Limits, found: str, stderr: bytes = b"", fuel_used: int = -1) -> Fault:
    """The output, as `found` says it in words, is more than is taken."""
    return Fault(
        kind=FaultKind.OUTPUT_TOO_LARGE,
        message=f"the tasklet wrote {found}",
        remedy=f"write less, or raise spec.tasklet.maxOutput above {limits.max_output} (stdout and files together) "
        "where bytes are the limit",
        fuel_used=fuel_used,
        stderr=text_of(stderr),
    )


def text_of(data: bytes) -> str:
    """Output of a tasklet as text; bytes that are not UTF-8 become replacement characters."""
    return data.decode("utf-8", errors="replace")


def clipped(text: str, most: int = MAX_NAME) -> str:
    """Not more of a text than a person reads."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} letters)"


def mebibytes(size: int) -> str:
    """A size for people, in the unit that resources are written in."""
    return f"{size / _MEBIBYTE:.10g}Mi" if size % _MEBIBYTE == 0 else f"{size / _MEBIBYTE:.1f}Mi"


def _ran_out_of_memory(ending: Ending, stderr: bytes, limits: Limits, memory: MemoryBounds) -> bool:
    """True when the failure is best explained by the memory limit.

    A `memory.grow` that the limit refuses leaves no trace in wasmtime's C API: the module gets -1 and goes on. So
    this judges by what is left: a failed run (1) whose program said in the last lines of stderr that it had no
    memory, or (2) whose memory had grown to within an eighth of the limit, while the module's own declared maximum
    would have let it grow on. An allocator grows by what it is asked for, so (2) misses a program that asked for one
    very large piece and said nothing: that one stays a trap or an exit code, and its remedy names the memory.
    """
    if isinstance(ending.error, wasmtime.WasmtimeError) and not isinstance(ending.error, wasmtime.ExitTrap):
        return "exceeds memory limits" in str(ending.error)
    if memory.maximum and memory.maximum <= limits.memory:
        return False
    last_lines = b"\n".join(stderr.rstrip().splitlines()[-3:])
    if any(word in last_lines for word in _OUT_OF_MEMORY_WORDS):
        return True
    return ending.memory > memory.initial and ending.memory >= limits.memory - limits.memory // 8


def _memory_exceeded(ending: Ending, stderr: bytes, limits: Limits, used: int) -> Fault:
    grown = f", having grown to {mebibytes(ending.memory)}" if ending.memory else " before it could start"
    return Fault(
        kind=FaultKind.MEMORY_EXCEEDED,
        message=f"the tasklet needs more than its {mebibytes(limits.memory)} of memory; it failed{grown}",
        remedy=f"raise spec.tasklet.memory above {mebibytes(limits.memory)}",
        exit_code=ending.error.code if isinstance(ending.error, wasmtime.ExitTrap) else 0,
        fuel_used=used,
        stderr=text_of(stderr),
    )


def _exit_code(code: int, stderr: bytes, used: int) -> Fault:
    return _ended_with(code, f"the tasklet exited with code {code}", "exit code 0 means success", stderr, used)


def _unknown_answer(code: int, stderr: bytes, used: int) -> Fault:
    answered = f"step() returned {code}, neither 0 (done) nor 1 (call me again)"
    return _ended_with(code, answered, "return another number only to fail", stderr, used)


def _ended_with(code: int, what: str, remedy: str, stderr: bytes, used: int) -> Fault:
    return Fault(
        kind=FaultKind.EXIT_CODE,
        message=f"{what}{_said(stderr)}",
        remedy=f"read its stderr; {remedy}",
        exit_code=code,
        fuel_used=used,
        stderr=text_of(stderr),
    )


def _said(stderr: bytes) -> str:
    lines = text_of(stderr).strip().splitlines()
    return f": {lines[-1][:200]}" if lines else " and wrote nothing to stderr"


def _trapped(trap: wasmtime.Trap, stderr: bytes, used: int) -> Fault:
    code = trap.trap_code
    frames = trap.frames
    backtrace = tuple(_frame_text(frame) for frame in frames[:BACKTRACE_FRAMES])
    where = f" in {backtrace[0]}" if backtrace else ""
    return Fault(
        kind=FaultKind.TRAPPED,
        message=f"the tasklet trapped{where}: {_cause(trap.message)}",
        remedy=_TRAP_REMEDIES.get(code, "a fault in the program: the backtrace says where it happened"),
        trap=code.name if code else "HOST",
        fuel_used=used,
        stderr=text_of(stderr),
        backtrace=backtrace,
    )


def _frame_text(frame: wasmtime.Frame) -> str:
    name = clipped(frame.func_name or f"function {frame.func_index}")
    # The frame in which a stack overflow is found has no position yet; wasmtime then says all ones.
    known = frame.module_offset < 2**63
    return f"{name} at offset {frame.module_offset:#x} of the module" if known else name


def _cause(message: str) -> str:
    last = message.strip().splitlines()[-1].strip()
    return clipped(last.rpartition("wasm trap: ")[2])


_TRAP_REMEDIES: dict[TrapCode | None, str] = {
    TrapCode.STACK_OVERFLOW: "the call stack is bounded at 1 MiB: look for endless recursion in the backtrace",
    TrapCode.UNREACHABLE: "the program aborted itself (a panic, an assertion or a failed allocation): see its stderr "
    "and, if it may have lacked memory, raise spec.tasklet.memory",
}


def _refused_call(message: str, stderr: bytes, used: int) -> Fault:
    return Fault(
        kind=FaultKind.TRAPPED,
        message=f"the tasklet called a WASI function with values that it does not take: {_cause(message)}",
        remedy="a fault in the program: the backtrace says where it happened",
        trap="WASI_CALL",
        fuel_used=used,
        stderr=text_of(stderr),
        backtrace=tuple(clipped(line.strip()) for line in message.splitlines() if "!" in line)[:BACKTRACE_FRAMES],
    )


def _not_started(message: str, stderr: bytes) -> Fault:
    return Fault(
        kind=FaultKind.BAD_MODULE,
        message=f"the module cannot be run: {_cause(message)}",
        remedy="build it as a WASI preview-1 command (wasm32-wasip1) that exports its memory as `memory`",
        fuel_used=0,
        stderr=text_of(stderr),
    )
