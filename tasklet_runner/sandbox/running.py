"""Runs tasks of one program, one after another, in one slot process."""

from dataclasses import dataclass
from pathlib import Path

import wasmtime

from tasklet_runner.wire.programs import Outcome, Program, Task


@dataclass(frozen=True)
class Places:
    """Where a slot finds and leaves things.

    `scratch` is this slot's own directory (on tmpfs where possible); `held` takes outputs that are too large for a
    frame, as `<index>-<attempt>/{stdout,out/…}`, on the same file system; `source` is the Python file; `mounts` are
    (guest path, directory); `blobs` has input archives by SHA-256.
    """

    scratch: Path
    held: Path
    source: Path
    blobs: Path
    mounts: tuple[tuple[str, Path], ...] = ()
    durable: Path | None = None


class Runner:
    """One program, ready to run many tasks. Not safe for threads; close it in the process that made it.

    The process must increment the engine's epoch every `engine.PULSE_SECONDS` while a task runs, and another one
    must kill it past `wall_seconds`: a WASI sleep stops for neither fuel nor epochs.
    """

    def __init__(self, engine: wasmtime.Engine, program: Program, *, code_fd: int, places: Places) -> None:
        """Load native code from `code_fd` (kept open by the caller).

        Raises:
            FaultError: BadModule for code of another configuration, IoError for a scratch that cannot be used.
        """
        raise NotImplementedError

    def run(self, task: Task) -> Outcome:
        """Run one task; every fault is in the outcome. Raises OSError when scratch itself fails."""
        raise NotImplementedError

    def close(self) -> None:
        """Free the module and remove what the runner left in scratch."""
        raise NotImplementedError
