"""Runs tasks of one program, one after another, in one slot process."""

import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import msgspec
import wasmtime

from tasklet_runner.sandbox.command import Command
from tasklet_runner.sandbox.engine import PULSE_SECONDS
from tasklet_runner.sandbox.loading import load_module
from tasklet_runner.sandbox.looping import LoopRunner
from tasklet_runner.sandbox.native import RunBounds, build_wasi
from tasklet_runner.sandbox.outcomes import fault_of
from tasklet_runner.sandbox.partitions import collector, wants_output_directory
from tasklet_runner.sandbox.places import Places, shared_preopens
from tasklet_runner.sandbox.scratch import Scratch
from tasklet_runner.wire.errors import FaultError, InputError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Mode, Outcome, Program, Task

__all__ = ["Places", "Runner"]


class _ModeRunner(Protocol):
    def run(self, task: Task, stdin: Path | None) -> Outcome: ...

    def close(self) -> None: ...


class Runner:
    """One program, ready to run many tasks. Not safe for threads; close it in the process that made it.

    The process must increment the engine's epoch every `engine.PULSE_SECONDS` while a task runs, and another one
    must kill it past `wall_seconds`: a WASI sleep stops for neither fuel nor epochs. RLIMIT_FSIZE, where it is set,
    must be above `max_output`, so that a file at the limit can be told from one that was cut off by it. RLIMIT_AS
    must not be set.
    """

    def __init__(self, engine: wasmtime.Engine, program: Program, *, code_fd: int, places: Places) -> None:
        """Load native code from `code_fd` (kept open by the caller).

        Raises:
            FaultError: BadModule for code of another configuration, Unsupported for /durable without a place.
            OSError: scratch cannot be used.
        """
        self._runner: _ModeRunner
        if program.mode is Mode.LOOP:
            self._runner = LoopRunner(program, code_fd, places)
        else:
            self._runner = FreshRunner(engine, program, code_fd, places)

    def run(self, task: Task, stdin: Path | None = None) -> Outcome:
        """Run one task; every fault of the tasklet is in the outcome. Raises OSError when scratch itself fails.

        `stdin`: the file with the input of a task with `fetch`. The tail of stderr is in `stderr` after a success, in
        the fault after a failure.
        """
        started = time.perf_counter_ns()
        try:
            if task.fetch and stdin is None:
                raise _not_fetched(task)
            outcome = self._runner.run(task, stdin)
        except InputError as error:
            outcome = Outcome(fault=Fault(kind=FaultKind.IO_ERROR, message=error.cause, remedy=error.remedy))
        except FaultError as error:
            outcome = Outcome(fault=error.fault)
        wall = (time.perf_counter_ns() - started) // 1000
        return msgspec.structs.replace(outcome, wall_microseconds=wall)

    def close(self) -> None:
        """Free the module and remove what the runner left in scratch."""
        self._runner.close()


class FreshRunner:
    """An instance per task: nothing of one run can be seen by the next."""

    def __init__(self, engine: wasmtime.Engine, program: Program, code_fd: int, places: Places) -> None:
        self._module, self._memory = load_module(engine, code_fd)
        self._program = program
        self._limits = program.limits
        self._places = places
        self._has_output = wants_output_directory(program)
        self._scratch = Scratch(places.scratch, places.held, output_files=self._has_output)
        self._collect = collector(program, self._scratch)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._command = Command.of(program, self._scratch.stdout.path, self._scratch.stderr.path)
            self._preopens = shared_preopens(program, places)
            undo.pop_all()
        if self._has_output:
            self._preopens += ((bytes(self._scratch.output_directory), b"/out", True),)
        self._command.settings.preopens = self._preopens
        epochs = math.ceil(self._limits.wall_seconds / PULSE_SECONDS) + 1
        self._bounds = RunBounds(self._limits.fuel, self._limits.memory, epochs)

    def run(self, task: Task, stdin: Path | None) -> Outcome:
        """Run one task. Raises InputError for an input that cannot be laid out, OSError when scratch fails."""
        if not (self._program.input_files or self._has_output or task.input_blob):
            return self._run(task, bytes(stdin) if stdin else None)
        try:
            return self._run_with_directories(task, stdin)
        finally:
            self._scratch.clear()

    def _run_with_directories(self, task: Task, stdin: Path | None) -> Outcome:
        settings = self._command.settings
        if self._program.input_files or task.input_blob:
            stdin = self._scratch.lay_out_input(task, self._places.blobs) or stdin
            settings.preopens = (*self._preopens, (bytes(self._scratch.input_directory), b"/in", False))
        try:
            return self._run(task, bytes(stdin) if stdin else None)
        finally:
            settings.preopens = self._preopens

    def _run(self, task: Task, stdin_file: bytes | None) -> Outcome:
        self._command.fill(task)
        ending = self._module.run(build_wasi(self._command.settings, task.input, stdin_file), self._bounds)
        fuel_used = self._limits.fuel - ending.fuel_left
        if ending.error is None:
            return self._collect(task, self._limits, fuel_used)
        fault = fault_of(ending, self._scratch.stderr_tail(), self._limits, self._memory)
        if fault is None:
            return self._collect(task, self._limits, fuel_used)
        if fault.fuel_used < 0:
            return Outcome(fault=fault)
        return Outcome(fault=self._scratch.excess(self._limits) or fault, fuel_used=fault.fuel_used)

    def close(self) -> None:
        """Free the module and empty scratch."""
        self._module.close()
        self._scratch.close()


def _not_fetched(task: Task) -> FaultError:
    return FaultError(
        Fault(
            kind=FaultKind.UNSUPPORTED,
            message=f"the input of chunk {task.chunk_id} was not fetched, as its task came with others in one frame",
            remedy="send a task with `fetch` in a frame of its own",
        )
    )
