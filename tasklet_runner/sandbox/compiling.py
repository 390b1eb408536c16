"""Compiling in a bounded child process: the only bound that holds against a module made to exhaust the compiler."""

import contextlib
import fcntl
import os
import resource
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Never, Self

import msgspec
import wasmtime

from tasklet_runner.sandbox import confine
from tasklet_runner.sandbox.binary import MalformedError
from tasklet_runner.sandbox.checking import bad_module, foreign_format, missing_parts
from tasklet_runner.sandbox.engine import new_compiling_engine
from tasklet_runner.sandbox.native import serialize
from tasklet_runner.sandbox.outcomes import clipped, mebibytes
from tasklet_runner.sandbox.rewriting import Refusal, expose_state
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_MAX_FAULT_BYTES = 65536
_MAX_WORDS = 4000


@dataclass(frozen=True)
class CompileBounds:
    """What one compilation may use: `memory` in bytes, CPU seconds over all threads, wall-clock seconds.

    CPU time bounds the module. The clock only ends a compiler that waits for ever: where others have the cores, the
    largest module that is meant to compile (40 CPU seconds) has taken more than two minutes.
    """

    memory: int
    cpu_seconds: int = 120
    wall_seconds: int = 600


class CompileChild:
    """A forked child that compiles one module. The caller waits until `fileno()` is readable, then calls `finish`."""

    def __init__(self, pid: int, bounds: CompileBounds, code: int, words: int) -> None:
        self._pid = pid
        self._bounds = bounds
        self._code = code
        self._words = words
        self._pidfd = os.pidfd_open(pid)

    @classmethod
    def start(cls, wasm_path: Path, bounds: CompileBounds, *, snapshots: bool = False) -> Self:
        """Fork the child; it has its own engine and never returns into the caller's code.

        `snapshots`: a module that exports `step` is compiled with its state exposed (`rewriting`), or refused.

        Call it from a process without threads, because only the calling thread lives on in the child, and from one that
        never compiled in parallel: the child would wait for that compiler's threads, until its wall-clock bound.
        """
        # Both are memory files: what a bounded child may write there is bounded, and nobody has to read meanwhile.
        code = os.memfd_create("code", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        words = os.memfd_create("fault", os.MFD_CLOEXEC)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_the_child(parent, _Work(wasm_path, bounds, snapshots), code, words)
        return cls(pid, bounds, code, words)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the child has ended."""
        return self._pidfd

    def finish(self) -> int:
        """Reap the child (blocks until it ends). A sealed memfd with native code, owned by the caller.

        Raises:
            FaultError: BadModule, Unsupported, MemoryExceeded, TimedOut or IoError, with cause and remedy.
        """
        status = self._reap()
        fault = self._fault(status)
        os.close(self._words)
        if fault is not None:
            os.close(self._code)
            raise FaultError(fault)
        fcntl.fcntl(self._code, fcntl.F_ADD_SEALS, _SEALS)
        return self._code

    def kill(self) -> None:
        """End the child now and reap it. `finish` must not be called afterwards; a second `kill` does nothing."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._reap()
        os.close(self._words)
        os.close(self._code)

    def _reap(self) -> int:
        select.select([self._pidfd], [], [])
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        os.close(self._pidfd)
        self._pidfd = -1
        return status

    def _fault(self, status: int) -> Fault | None:
        if status == 0:
            return None
        words = os.pread(self._words, _MAX_FAULT_BYTES, 0)
        if status == 1 and words:
            return msgspec.json.decode(words, type=Fault)
        return _fault_of_signal(-status, self._bounds)


def _fault_of_signal(number: int, bounds: CompileBounds) -> Fault:
    if number == signal.SIGXCPU:
        return _too_slow(f"{bounds.cpu_seconds} seconds of CPU time")
    if number == signal.SIGALRM:
        return _too_slow(f"{bounds.wall_seconds} seconds")
    if number in (signal.SIGABRT, signal.SIGKILL):  # Rust aborts when memory is refused; the kernel's killer kills
        return _too_large(bounds)
    return bad_module(
        f"the compiler ended with {_signal_name(number)}, as it does on code that is nested too deeply",
        "build the module with a current tool chain",
    )


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in signal.valid_signals() else f"status {-number}"


def _too_slow(spent: str) -> Fault:
    return Fault(
        kind=FaultKind.TIMED_OUT,
        message=f"the module was not compiled within {spent}",
        remedy="use a smaller module, or a pool whose members have more cores",
    )


def _too_large(bounds: CompileBounds) -> Fault:
    return Fault(
        kind=FaultKind.MEMORY_EXCEEDED,
        message=f"compiling the module needs more than the {mebibytes(bounds.memory)} that this member has for it",
        remedy="this module asks for a bigger pool: raise spec.resources.memory of the InstancePool, "
        "of which half is for compiling",
    )


@dataclass(frozen=True)
class _Work:
    wasm_path: Path
    bounds: CompileBounds
    snapshots: bool


def _be_the_child(parent: int, work: _Work, code: int, words: int) -> Never:
    status = 2
    try:
        _detach(parent, code, words)
        _bound(work.bounds)
        fault = _compile(work, code)
        if fault is not None:
            os.pwrite(words, msgspec.json.encode(_short(fault)), 0)
        status = 0 if fault is None else 1
    finally:
        # Whatever happens, the caller's code must not go on in a second process.
        os._exit(status)


def _short(fault: Fault) -> Fault:
    """It may quote the module, and is read as one piece of `_MAX_FAULT_BYTES`."""
    return msgspec.structs.replace(fault, message=clipped(fault.message, _MAX_WORDS))


def _detach(parent: int, code: int, words: int) -> None:
    confine.die_with_parent(parent)
    signal.set_wakeup_fd(-1)  # an event loop's: a signal to the child is not for it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGXCPU, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    confine.close_all_but({0, 1, 2, code, words})
    silent = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # a Rust abort writes to stderr; the fault says it better
        os.dup2(silent, standard)


def _bound(bounds: CompileBounds) -> None:
    signal.setitimer(signal.ITIMER_REAL, bounds.wall_seconds)  # first: nothing after it may wait for ever
    # RLIMIT_DATA counts private writable memory; RLIMIT_AS would also count the address space that each thread's
    # allocator only reserves, 64 MiB apiece.
    # Memory that the parent has freed but its allocator keeps comes on top of the bound; in a member that is little.
    data = _data_bytes() + bounds.memory
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.cpu_seconds, bounds.cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (bounds.memory, bounds.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _compile(work: _Work, code: int) -> Fault | None:
    try:
        serialize(_module_of(work), lambda data: _write_all(code, data))
    except FaultError as error:
        return error.fault
    except MemoryError:
        return _too_large(work.bounds)
    except wasmtime.WasmtimeError as error:
        return _fault_of_compiler(str(error), work.bounds)
    except OSError as error:
        return Fault(
            kind=FaultKind.IO_ERROR,
            message=f"the module {work.wasm_path.name} cannot be read or its code not be kept: {error.strerror}",
            remedy="give the pool's members more memory",
        )
    return None


def _module_of(work: _Work) -> wasmtime.Module:
    wasm = work.wasm_path.read_bytes()
    if fault := foreign_format(wasm):
        raise FaultError(fault)
    engine = new_compiling_engine()
    module = wasmtime.Module(engine, _exposed(engine, wasm) if work.snapshots else wasm)
    if fault := missing_parts(engine, module, steps=work.snapshots):
        raise FaultError(fault)
    return module


def _exposed(engine: wasmtime.Engine, wasm: bytes) -> bytes:
    wasmtime.Module.validate(engine, wasm)  # what is read below is then known to be well-formed
    try:
        exposed = expose_state(wasm)
    except MalformedError as error:
        raise FaultError(bad_module(error.cause, "build it with a current tool chain")) from error
    if isinstance(exposed, Refusal):
        raise FaultError(exposed.fault())
    return exposed


def _fault_of_compiler(message: str, bounds: CompileBounds) -> Fault:
    if "os error 12" in message or "Cannot allocate memory" in message:
        return _too_large(bounds)
    return bad_module(
        message.strip().splitlines()[-1].strip(), "build it for wasm32-wasip1 without threads, GC, exceptions, memory64"
    )


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if sys.platform != "linux":
    raise ImportError("the sandbox needs Linux: memfd, pidfd and seals")
