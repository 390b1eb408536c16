"""A task with /durable in a slot's own process: that it may have one, and that it left no more there than it may."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasklet_runner.sandbox.durable import excess, look
from tasklet_runner.sandbox.places import held_path
from tasklet_runner.sandbox.trees import remove_tree
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Limits, Outcome, Task

RunTask = Callable[[Task, Path | None], Outcome]
"""Runs a task; the file is the one with its fetched input."""


@dataclass(frozen=True)
class DurableRun:
    """A `RunTask` that shows `directory` as /durable; `alone`: its task came in a frame of its own."""

    run: RunTask
    directory: Path
    held: Path
    limits: Limits
    alone: bool

    def __call__(self, task: Task, stdin: Path | None) -> Outcome:
        """The outcome; OutputTooLarge for more in /durable than is allowed, whatever the run came to."""
        if task.durable is None or not self.alone:
            return Outcome(fault=_not_kept(task))
        outcome = self.run(task, stdin)
        fault = excess(look(self.directory), self.limits)
        if fault is None:
            return outcome
        remove_tree(held_path(self.held, task))
        stderr = outcome.fault.stderr if outcome.fault else outcome.stderr.decode(errors="replace")
        fault = msgspec.structs.replace(fault, stderr=stderr, fuel_used=outcome.fuel_used)
        return Outcome(fault=fault, fuel_used=outcome.fuel_used, wall_microseconds=outcome.wall_microseconds)


def _not_kept(task: Task) -> Fault:
    return Fault(
        kind=FaultKind.UNSUPPORTED,
        message=f"chunk {task.chunk_id} asks for /durable, and nobody says where its checkpoints are kept",
        remedy="send a task of a durable program with `durable`, in a frame of its own",
    )
