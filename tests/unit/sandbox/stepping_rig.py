"""Runs modules that export `step` for real, with the power cut after chosen steps, each time in a runner of its own."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import wasmtime

from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.engine import new_engine
from tasklet_runner.sandbox.loading import load_code
from tasklet_runner.sandbox.places import Places
from tasklet_runner.sandbox.snapshot_files import SnapshotFile
from tasklet_runner.sandbox.snapshots import Description
from tasklet_runner.sandbox.stepping import StepRunner
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Language, Limits, Outcome, Program, Task

ROOMY = Limits(fuel=10**9, memory=64 * 1024 * 1024, wall_seconds=60, max_output=100_000)
TASK = Task(0, 1, "0-aa", b"12345 some input that is read piece by piece\n")


class PowerCutError(Exception):
    """Raised after a step: nothing of the run goes on, as when its process is killed."""


@dataclass
class Cuts:
    """A pace: snapshots after these steps of this attempt, the power cut after `last` of them."""

    save_after: frozenset[int] = frozenset()
    last: int = 0
    steps: int = 0
    taken: int = 0
    patience: float = 600.0

    def is_due(self) -> bool:
        self.steps += 1
        return self.steps in self.save_after or self._cut_now()

    def _cut_now(self) -> bool:
        if self.steps == self.last:
            raise PowerCutError
        return False

    def saved(self, seconds: float) -> None:
        assert seconds >= 0
        self.taken += 1
        self._cut_now()


@cache
def engine() -> wasmtime.Engine:
    """One that compiles without threads: after others had been at work no child could be forked."""
    return new_engine()


@cache
def native(wasm: bytes) -> int | Fault:
    """A descriptor of the code of a module with snapshots, or why it is refused; once per session."""
    with tempfile.NamedTemporaryFile(suffix=".wasm") as file:
        Path(file.name).write_bytes(wasm)
        try:
            return CompileChild.start(Path(file.name), CompileBounds(memory=512 * 1024 * 1024), snapshots=True).finish()
        except FaultError as error:
            return error.fault


def refusal(wat: str) -> Fault:
    """Why the text module is not compiled with snapshots."""
    found = native(bytes(wasmtime.wat2wasm(wat)))
    assert isinstance(found, Fault), "the module was compiled"
    return found


@dataclass
class Stepping:
    """One chunk of one module, below `root`: /durable stays from attempt to attempt, all else is each attempt's."""

    wasm: bytes
    root: Path
    limits: Limits = ROOMY
    task: Task = TASK
    source: str = "5a" * 32
    mounts: tuple[tuple[str, Path], ...] = ()
    output_files: bool = False
    attempts: int = 0

    @property
    def durable(self) -> Path:
        return self.root / "durable"

    def attempt(self, pace: Cuts | None = None) -> Outcome:
        """One run to its end. Raises PowerCutError when the pace says so, and what a Runner maps to faults."""
        code = native(self.wasm)
        assert isinstance(code, int), code
        self.attempts += 1
        self.durable.mkdir(parents=True, exist_ok=True)
        here = self.root / f"attempt-{self.attempts}"
        here.mkdir()
        places = Places(here / "scratch", here / "held", here / "source", here / "blobs", self.mounts, self.durable)
        program = Program(
            name="t",
            language=Language.WASM,
            source=self.source,
            limits=self.limits,
            durable=True,
            output_files=self.output_files,
        )
        runner = StepRunner(engine(), program, load_code(engine(), code), places)
        runner.new_pace = lambda: pace or Cuts()
        try:
            return runner.run(self.task, None)
        finally:
            runner.close()

    def cut(self, save_after: Iterable[int], last: int) -> None:
        """An attempt that saves after these steps and ends after the last one, if it is not done before."""
        try:
            self.attempt(Cuts(frozenset(save_after), last))
        except PowerCutError:
            return

    def description(self) -> Description:
        """Of the snapshot that there is."""
        found = SnapshotFile.open(self.durable)
        assert found is not None
        found.close()
        return found.description
