"""Runs each task in an instance of its own."""

import math
from contextlib import ExitStack
from pathlib import Path

import wasmtime

from tasklet_runner.sandbox.command import Command
from tasklet_runner.sandbox.engine import PULSE_SECONDS
from tasklet_runner.sandbox.loading import link_module
from tasklet_runner.sandbox.native import Ending, RunBounds, build_wasi
from tasklet_runner.sandbox.outcomes import fault_of
from tasklet_runner.sandbox.partitions import collector, wants_output_directory
from tasklet_runner.sandbox.places import Places, shared_preopens
from tasklet_runner.sandbox.scratch import Scratch
from tasklet_runner.wire.programs import Outcome, Program, Task


class FreshRunner:
    """An instance per task: nothing of one run can be seen by the next."""

    def __init__(self, engine: wasmtime.Engine, program: Program, module: wasmtime.Module, places: Places) -> None:
        """Raises FaultError: BadModule for imports that do not fit, Unsupported for /durable without a place."""
        self._module, self._memory = link_module(engine, module)
        self._program = program
        self._limits = program.limits
        self._places = places
        self._has_output = wants_output_directory(program)
        self._scratch = Scratch(
            places.scratch, places.held, output_files=self._has_output, before_freeing=places.before_freeing
        )
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
        ending = self._execute(task, stdin_file)
        fuel_used = self._limits.fuel - ending.fuel_left
        if ending.error is None and not ending.code:
            return self._collect(task, self._limits, fuel_used)
        fault = fault_of(ending, self._scratch.stderr_tail(), self._limits, self._memory)
        if fault is None:
            return self._collect(task, self._limits, fuel_used)
        if fault.fuel_used < 0:
            return Outcome(fault=fault)
        return Outcome(fault=self._scratch.excess(self._limits) or fault, fuel_used=fault.fuel_used)

    def _execute(self, task: Task, stdin_file: bytes | None) -> Ending:
        return self._module.run(build_wasi(self._command.settings, task.input, stdin_file), self._bounds)

    def close(self) -> None:
        """Free the module and empty scratch."""
        self._module.close()
        self._scratch.close()
