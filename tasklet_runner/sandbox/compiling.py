"""Compiling in a bounded child process: the only bound that holds against a module made to exhaust the compiler."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class CompileBounds:
    """What one compilation may use: `memory` in bytes, CPU seconds over all threads, wall-clock seconds."""

    memory: int
    cpu_seconds: int = 120
    wall_seconds: int = 120


class CompileChild:
    """A forked child that compiles one module. The caller waits until `fileno()` is readable, then calls `finish`."""

    @classmethod
    def start(cls, wasm_path: Path, bounds: CompileBounds) -> Self:
        """Fork the child; it has its own engine and never returns into the caller's code.

        Call it from a process that holds no threads of wasmtime.
        """
        raise NotImplementedError

    def fileno(self) -> int:
        """A descriptor that becomes readable when the child has ended."""
        raise NotImplementedError

    def finish(self) -> int:
        """Reap the child (blocks until it ends). A sealed memfd with native code, owned by the caller.

        Raises:
            FaultError: BadModule, MemoryExceeded, TimedOut or IoError, with cause and remedy.
        """
        raise NotImplementedError

    def kill(self) -> None:
        """End the child now and reap it. `finish` must not be called afterwards; a second `kill` does nothing."""
        raise NotImplementedError
