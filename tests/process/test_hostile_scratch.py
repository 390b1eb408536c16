"""A tasklet fills its member's small scratch: nobody's half output passes for whole, and nothing ends of it."""

import asyncio
from pathlib import Path

import pytest

from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Language, Limits, Program, Result, Task
from tasklet_runner.wire.work import Prepared
from tests.hostile.desk import Desk, Held, Holder
from tests.hostile.filling import resting
from tests.hostile.neighbours import met_full_scratch
from tests.hostile.wasi import command
from tests.support.members import PATIENCE_SECONDS, member
from tests.support.small_disk import on_small_disk

pytestmark = pytest.mark.timeout(300)

SCRATCH_BYTES = 16 << 20
SAID = b"said"
MUCH = Limits(fuel=10**15, memory=8 << 20, wall_seconds=600, max_output=1 << 40)


async def ready(desk: Desk, module: bytes, **fields: object) -> int:
    program = Program(name="tool", language=Language.WASM, source=await desk.send(module), limits=MUCH, **fields)  # type: ignore[arg-type]  # fields of Program
    answer = await desk.prepare(program)
    assert isinstance(answer, Prepared), answer
    return answer.program_id


def says() -> bytes:
    """Writes, and does not look at what came of it."""
    return command("(drop (call $write (i32.const 1) @said))", texts={"said": SAID})


async def first(desk: Desk, program: int, *, full: bool) -> list[Result]:
    """Run it until its end is, or is not, that scratch was full; every result until then."""
    seen = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            results, _ = await desk.run(program, 1, [Task(0, 1, "0-x")])
            seen += results
            if results and met_full_scratch(results[0]) is full:
                return seen


async def filled(held: Held) -> tuple[Desk, "asyncio.Task[tuple[list[Result], list[int]]]"]:
    """A tasklet that fills scratch, may do so, and then rests for ever; the desk that asked for it."""
    desk = await held.another()
    hog = await ready(desk, resting(), output_files=True)
    return desk, asyncio.create_task(desk.run(hog, 0, [Task(0, 1, "0-x")]))


@pytest.mark.unhappy("a tasklet that fills scratch, beside one that does not look at what its writes come to")
def test_what_is_written_while_scratch_is_full_never_passes_for_whole_and_the_member_goes_on(tmp_path: Path) -> None:
    prefix = on_small_disk(tmp_path / "scratch", SCRATCH_BYTES)
    if not prefix:
        pytest.skip("no tmpfs of its own for a member: that takes a mount namespace (unshare --mount)")

    async def story() -> None:
        arguments = ("--slots", "2", "--memory", str(1 << 30), "--tmpfs", str(SCRATCH_BYTES))
        async with member(tmp_path, *arguments, prefix=prefix) as (rig, client):
            async with Holder("both").holding(rig, client) as held:
                honest = await ready(held.desk, says())
                desk, hog = await filled(held)
                *whole, cut = await first(held.desk, honest, full=True)
                assert [result.outcome.stdout for result in whole] == [SAID] * len(whole)
                assert cut.outcome.fault is not None
                assert cut.outcome.fault.kind is FaultKind.DISCONNECTED
                assert "larger scratch" in cut.outcome.fault.remedy
                with pytest.raises(AssertionError, match=r"IoError.*No space left"):
                    await ready(await held.another(), says() + b"\0\1\0")
                assert not hog.done()
                hog.cancel()
                await desk.close()
                results = await first(held.desk, honest, full=False)
                assert results[-1].outcome.stdout == SAID
                assert (await client.state()).state.value == "claimed"
            state = await rig.ready(client)
            assert (state.incarnation, state.epoch) == (held.state.incarnation, held.state.epoch)

    asyncio.run(story())
