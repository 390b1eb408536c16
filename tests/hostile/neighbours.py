"""Honest work, whose every result is known, going on beside what is hostile."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tasklet_runner.sandbox.brim import scratch_was_full
from tasklet_runner.wire.programs import Language, Limits, Program, Result, Task
from tasklet_runner.wire.work import Prepared
from tests.hostile.desk import Desk
from tests.hostile.wasi import command

ROUNDS = 4_000_000
"""Some milliseconds of one core."""

FRAME = 10
"""So many tasks go at once: a slot's time is to be measured, and not that of the holder, who drives the hostile too."""

_LIMITS = Limits(fuel=10**9, memory=1024 * 1024)
_FACTOR, _SUMMAND, _MASK = 1664525, 1013904223, 2**32 - 1


def module() -> bytes:
    """Reads a number of 32 bits, draws `ROUNDS` numbers from it (a linear congruential generator), writes the last."""
    return command(
        f"""(local $left i32) (local $x i32)
 (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 4))
 (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
 (local.set $x (i32.load (i32.const 1024))) (local.set $left (i32.const {ROUNDS}))
 (loop (local.set $x (i32.add (i32.mul (local.get $x) (i32.const {_FACTOR})) (i32.const {_SUMMAND})))
  (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
 (i32.store (i32.const 1024) (local.get $x))
 (drop (call $write (i32.const 1) (i32.const 1024) (i32.const 4)))"""
    )


def right(number: int) -> int:
    """What the module writes for a number: its map, squared and multiplied as a power is."""
    factor, summand, left = _FACTOR, _SUMMAND, ROUNDS
    while left:
        if left & 1:
            number = (number * factor + summand) & _MASK
        factor, summand, left = (factor * factor) & _MASK, (summand * (factor + 1)) & _MASK, left >> 1
    return number


def met_full_scratch(result: Result) -> bool:
    """True for a task that has to be sent again, as somebody had filled scratch."""
    return result.outcome.fault is not None and result.outcome.fault.message == scratch_was_full().message


@dataclass
class Worked:
    """What was done in so many seconds, and what was wrong about it; what must be sent again is neither."""

    done: int = 0
    seconds: float = 0.0
    wrongs: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.done / self.seconds if self.seconds else 0.0


class Neighbour:
    """Works in one slot, one task after the other."""

    def __init__(self, desk: Desk, program: int, slot: int) -> None:
        self._desk, self._program, self._slot = desk, program, slot
        self._index = 0

    @classmethod
    async def at(cls, desk: Desk, slot: int) -> "Neighbour":
        """Make ready. Raises AssertionError when that fails."""
        source = await desk.send(module())
        answer = await desk.prepare(Program(name="honest", language=Language.WASM, source=source, limits=_LIMITS))
        assert isinstance(answer, Prepared), answer
        return cls(desk, answer.program_id, slot)

    async def work(self, *, seconds: float = 0.0, tasks: int = 0, until: asyncio.Event | None = None) -> Worked:
        """Until so much is done, the time is over, or `until` is set."""
        worked, began = Worked(), time.monotonic()
        while not (until and until.is_set()):
            await self._one(worked)
            worked.seconds = time.monotonic() - began
            if (tasks and worked.done + len(worked.wrongs) >= tasks) or (seconds and worked.seconds > seconds):
                break
        return worked

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Worked]:
        """Work for as long as the block takes; the figures are whole after it."""
        until, worked = asyncio.Event(), Worked()
        task = asyncio.create_task(self.work(until=until))
        try:
            yield worked
        finally:
            until.set()
            found = await task
            worked.done, worked.seconds, worked.wrongs = found.done, found.seconds, found.wrongs

    async def _one(self, worked: Worked) -> None:
        numbers = [(self._index + n) * 2654435761 & _MASK for n in range(FRAME)]
        self._index += FRAME
        tasks = [Task(n, 1, f"{n}-n", number.to_bytes(4, "little")) for n, number in enumerate(numbers)]
        try:
            results, missing = await self._desk.run(self._program, self._slot, tasks)
        except (AssertionError, TimeoutError) as error:
            worked.wrongs.append(f"no answer: {error!r}")
            await asyncio.sleep(1)
            return
        wanted = [right(number).to_bytes(4, "little") for number in numbers]
        if any(map(met_full_scratch, results)):
            return
        if missing or [result.outcome.stdout for result in results] != wanted:
            worked.wrongs.append(f"the tasks {numbers} came to {missing or results}"[:300])
        else:
            worked.done += len(results)
