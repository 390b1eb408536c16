"""Runs cases at a desk, and says of each what was wrong with its end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Mode, Mount, Outcome, Program, Task
from tasklet_runner.wire.work import PrepareFailed
from tests.hostile.cases import Case
from tests.hostile.desk import Desk

RESENT = 5
"""A chunk that was not run, because the process that would have run it died of the one before, is sent again."""


@dataclass(frozen=True)
class Ended:
    """How a case ended: at its preparation, or by running; `fault` None: it succeeded."""

    prepared: bool
    fault: Fault | None

    def wrongs(self, case: Case) -> list[str]:
        """What is not as it must be, in words."""
        reason = self.fault.reason if self.fault else "success"
        found = []
        if reason != case.reason:
            found.append(f"it ended with {reason}, not {case.reason} ({self.fault})"[:600])
        if self.prepared != case.prepares:
            found.append(f"its preparation {'succeeded' if self.prepared else 'failed'} ({self.fault})"[:600])
        if self.fault and not (self.fault.message and self.fault.remedy):
            found.append(f"{reason} says too little: {self.fault}"[:600])
        if self.fault and case.says not in self.fault.message + self.fault.stderr:
            found.append(f"{case.says!r} is not said by {self.fault}"[:600])
        return found


@cache
def made(case: Case) -> bytes:
    """The case's module or file. Made before anything is measured: it takes the holder's time."""
    return case.make()


async def attempt(desk: Desk, case: Case, slot: int, python: str = "") -> Ended:
    """Prepare and run one case in a slot. `python`: the digest of the interpreter's code. Raises AssertionError when
    the connection ends or no answer comes.
    """
    wanted = case.program
    program = Program(
        name="tool",
        language=Language.PYTHON if wanted.python else Language.WASM,
        source=await desk.send(made(case)),
        runtime=DEFAULT_PYTHON_RUNTIME if wanted.python else "",
        mode=Mode.LOOP if wanted.loop else Mode.FRESH,
        arguments=wanted.arguments,
        environment=wanted.environment,
        limits=case.limits,
        mounts=(Mount(path="/mount", digest=await desk.send(wanted.mount())),) if wanted.mount else (),
        input_files=wanted.input_files,
        output_files=wanted.output_files,
    )
    answer = await desk.prepare(program, python if wanted.python else "")
    if isinstance(answer, PrepareFailed):
        return Ended(False, answer.fault)
    chunk = case.chunk
    archive = await desk.send(chunk.archive()) if chunk.archive else ""
    outcome = await _outcome(desk, answer.program_id, slot, Task(0, 1, "0-x", chunk.data, chunk.path, archive))
    return Ended(True, outcome.fault)


async def _outcome(desk: Desk, program: int, slot: int, task: Task) -> Outcome:
    for _ in range(RESENT):
        results, _missing = await desk.run(program, slot, (task,))
        if results:
            return results[0].outcome
    raise AssertionError(f"it was {RESENT} times not run")


async def attempt_all(desk: Desk, cases: Sequence[Case], slots: Sequence[int]) -> dict[Case, Ended | str]:
    """Every case, one in each of the slots at a time; words for one that got no end."""
    python = await desk.give_python() if any(case.program.python for case in cases) else ""
    left = list(reversed(cases))
    ends: dict[Case, Ended | str] = {}

    async def work(slot: int) -> None:
        while left:
            case = left.pop()
            try:
                ends[case] = await attempt(desk, case, slot, python)
            except (AssertionError, TimeoutError) as error:
                ends[case] = f"no end: {error!r}"

    await asyncio.gather(*(work(slot) for slot in slots))
    return ends
