"""Runs tasks of one program, one after another, in one slot process."""

import time
from pathlib import Path
from typing import Protocol

import msgspec
import wasmtime

from tasklet_runner.sandbox.brim import FULL, scratch_was_full
from tasklet_runner.sandbox.fresh import FreshRunner
from tasklet_runner.sandbox.instances import is_stepping
from tasklet_runner.sandbox.loading import load_code
from tasklet_runner.sandbox.looping import LoopRunner
from tasklet_runner.sandbox.places import Places, held_path
from tasklet_runner.sandbox.stepping import StepRunner
from tasklet_runner.sandbox.trees import remove_tree
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
            FaultError: BadModule for code of another configuration, Unsupported for /durable without a place, or for
                snapshots of what they cannot hold.
            OSError: scratch cannot be used.
        """
        self._runner = _runner_of(engine, program, code_fd, places)
        self._places = places

    def run(self, task: Task, stdin: Path | None = None) -> Outcome:
        """Run one task; every fault of the tasklet is in the outcome. Raises OSError when scratch itself
        fails; one that is full is an outcome, too.

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
        except OSError as error:
            if error.errno not in FULL:
                raise
            remove_tree(held_path(self._places.held, task))
            outcome = Outcome(fault=scratch_was_full())
        wall = (time.perf_counter_ns() - started) // 1000
        return msgspec.structs.replace(outcome, wall_microseconds=wall)

    def close(self) -> None:
        """Free the module and remove what the runner left in scratch."""
        self._runner.close()


def _runner_of(engine: wasmtime.Engine, program: Program, code_fd: int, places: Places) -> _ModeRunner:
    if program.mode is Mode.LOOP:
        return LoopRunner(program, code_fd, places)
    module = load_code(engine, code_fd)
    if program.takes_snapshots and is_stepping(module):
        return StepRunner(engine, program, module, places)
    return FreshRunner(engine, program, module, places)


def _not_fetched(task: Task) -> FaultError:
    return FaultError(
        Fault(
            kind=FaultKind.UNSUPPORTED,
            message=f"the input of chunk {task.chunk_id} was not fetched, as its task came with others in one frame",
            remedy="send a task with `fetch` in a frame of its own",
        )
    )
