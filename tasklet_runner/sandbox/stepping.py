"""Runs a module that exports `step`: step after step, with its state saved between two of them now and then.

A snapshot is the file `snapshot` in the chunk's /durable directory, which the module itself does not see. Whoever runs
it next with that directory goes on behind the last saved step: same outputs, same fuel, as if nothing had happened.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import wasmtime

from tasklet_runner.sandbox.fresh import FreshRunner
from tasklet_runner.sandbox.instances import Instance, SteppingModule, open_files
from tasklet_runner.sandbox.native import Ending, build_wasi
from tasklet_runner.sandbox.partitions import wants_output_directory
from tasklet_runner.sandbox.places import Places, durable_directory
from tasklet_runner.sandbox.scratch import CapturedFile
from tasklet_runner.sandbox.snapshot_files import SnapshotFile, write_snapshot
from tasklet_runner.sandbox.snapshots import Description, Identity, check_identity
from tasklet_runner.sandbox.standard_input import StandardInput
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Program, Task

MORE = 1
"""What `step` returns when it wants to be called again; 0 when it is done."""

SNAPSHOT_SECONDS = 1.0
"""No two snapshots are taken within this time."""

SNAPSHOT_SHARE = 0.04
"""At most this share of a run is spent on snapshots, however large they are."""

PATIENCE_SECONDS = 10.0
"""A module that has files open after every step for so long cannot be saved, and is told so."""


class Pace(Protocol):
    """When to take snapshots; it is asked once after each step.

    `patience`: how many seconds one that is due may have to wait for a step after which no file is open.
    """

    patience: float

    def is_due(self) -> bool:
        """True when one is to be taken now."""
        ...

    def saved(self, seconds: float) -> None:
        """One was taken, and took so long."""
        ...


class SteadyPace:
    """At most one in `SNAPSHOT_SECONDS`, and fewer when they are slow."""

    patience = PATIENCE_SECONDS

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock() + SNAPSHOT_SECONDS

    def is_due(self) -> bool:
        """True when the last one is long enough ago."""
        return self._clock() >= self._due

    def saved(self, seconds: float) -> None:
        """The slower it was, the longer until the next."""
        self._due = self._clock() + pause_after(seconds)


def pause_after(seconds: float) -> float:
    """How long to compute, in seconds, before the next snapshot after one that took so long."""
    return max(SNAPSHOT_SECONDS, seconds * (1 / SNAPSHOT_SHARE - 1))


class StepRunner(FreshRunner):
    """Runs the tasks of a durable program whose module exports `step`, each from its snapshot if it has one."""

    def __init__(self, engine: wasmtime.Engine, program: Program, module: wasmtime.Module, places: Places) -> None:
        """Raises what FreshRunner raises; FaultError Unsupported for a program with an /out too."""
        self._directory = durable_directory(places)
        if wants_output_directory(program):
            raise _has_files(program)
        # The module's own /durable would hold files of another moment than its snapshot.
        super().__init__(engine, msgspec.structs.replace(program, durable=False), module, places)
        self._stepping = SteppingModule.of(engine, module)
        self.new_pace: Callable[[], Pace] = SteadyPace

    def _execute(self, task: Task, stdin_file: bytes | None) -> Ending:
        stdin = self._stepping.stdin
        stdin.begin(task.input, Path(os.fsdecode(stdin_file)) if stdin_file else None)
        try:
            return self._steps(Identity(self._program.source, task.chunk_id))
        finally:
            stdin.end()

    def _steps(self, identity: Identity) -> Ending:
        try:
            instance = Instance(self._stepping, build_wasi(self._command.settings, b""), self._bounds)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            return Ending(self._limits.fuel, error, started=False)
        with closing(instance):
            run = _Run(instance, self._stepping.stdin, self._scratch.stdout, self._directory, identity)
            try:
                code = run.to_the_end(self.new_pace())
            except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
                return Ending(self._limits.fuel - instance.fuel_used, error, instance.memory_bytes)
            return Ending(self._limits.fuel - instance.fuel_used, code=code)


@dataclass
class _Run:
    """One attempt: its instance, what its state is besides, and how many steps have returned."""

    instance: Instance
    stdin: StandardInput
    stdout: CapturedFile
    directory: Path
    identity: Identity
    steps: int = 0
    put_off_since: float | None = None

    def __post_init__(self) -> None:
        self._files = open_files()

    def to_the_end(self, pace: Pace) -> int:
        """Call `step` until it returns something else than `MORE`; that."""
        self._begin()
        while (code := self.instance.step()) == MORE:
            self.steps += 1
            if pace.is_due() and self._can_save(pace.patience):
                started = time.monotonic()
                self._save()
                pace.saved(time.monotonic() - started)
        return code

    def _begin(self) -> None:
        found = SnapshotFile.open(self.directory)
        if found is None:
            self.instance.initialize()
            return
        with closing(found):
            check_identity(found.description, self.identity)
            self._restore(found)

    def _restore(self, found: SnapshotFile) -> None:
        # What `_initialize` did is in memory and globals: it is not called again.
        description = found.description
        self.instance.grow_memory(description.pages)
        with self.instance.memory() as memory:
            stdout = found.load(memory)
        self.instance.set_global_values(description.global_values)
        self.instance.set_fuel_used(description.fuel_used)
        self.stdin.position = description.stdin
        self.steps = description.steps
        _write_from_start(self.stdout.path, stdout)

    def _can_save(self, patience: float) -> bool:
        opened = open_files().items() - self._files.items()
        if not opened:
            self.put_off_since = None
            return True
        now = time.monotonic()
        self.put_off_since = self.put_off_since or now
        if now - self.put_off_since > patience:
            raise _keeps_files_open(sorted(Path(path).name for _, path in opened), patience)
        return False

    def _save(self) -> None:
        description = Description(
            module=self.identity.module,
            chunk=self.identity.chunk,
            steps=self.steps,
            fuel_used=self.instance.fuel_used,
            stdin=self.stdin.position,
            global_values=self.instance.global_values(),
        )
        with self.instance.memory() as memory:
            write_snapshot(self.directory, description, memory, self.stdout.head(self.stdout.size()))


def _write_from_start(path: Path, data: bytes) -> None:
    """Make `data` the whole content of a file that WASI has open, and let it go on writing behind it."""
    for descriptor, name in open_files().items():
        if name == str(path) and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]


def _has_files(program: Program) -> FaultError:
    return FaultError(
        Fault(
            kind=FaultKind.UNSUPPORTED,
            message=f"{program.name} is run by its `step` and asks for /out, whose files a snapshot does not hold",
            remedy="write the output to stdout, which is saved with it; or leave out spec.tasklet.durable",
        )
    )


def _keeps_files_open(names: list[str], seconds: float) -> FaultError:
    return FaultError(
        Fault(
            kind=FaultKind.UNSUPPORTED,
            message=f"the module has files open after every step for {seconds:g} seconds now, "
            f"so that no snapshot can be taken: {', '.join(names[:5])}",
            remedy="open and close a file within one step",
        )
    )
