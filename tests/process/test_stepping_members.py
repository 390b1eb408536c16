"""Modules that export `step`, on real members: killed in the middle they go on elsewhere, or are refused in words."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.plan.types import CountInput
from tasklet_runner.wire.programs import Limits
from tests.process.test_durable_tasklets import ENDINGS, durable_plan, nothing_left, watched
from tests.support import wat
from tests.support.local_runs import FAST
from tests.support.runs import plan, stage

FACTOR = 6364136223846793005


SLOW_STEPS = wat.module(f"""(module
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "environ_get" (func $environment (param i32 i32) (result i32)))
 (memory (export "memory") 2)
 (global $done (mut i64) (i64.const 0)) (global $state (mut i64) (i64.const 1))
 (func (export "step") (result i32)
  (i32.store (i32.const 1040) (i32.const 1))
  (i64.store (i32.const 1048) (i64.const 5000000))
  (drop (call $poll (i32.const 1024) (i32.const 1152) (i32.const 1) (i32.const 12)))
  (global.set $done (i64.add (global.get $done) (i64.const 1)))
  (global.set $state (i64.add (i64.mul (global.get $state) (i64.const {FACTOR})) (global.get $done)))
  (drop (call $environment (i32.const 1200) (i32.const 1300)))
  (if (i32.eq (i32.load8_u (i32.const 1302)) (i32.const 49)) (then (return (i32.const 1))))
  (i64.store (i32.const 16) (global.get $done)) (i64.store (i32.const 24) (global.get $state))
  (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 16))
  (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
  (i32.const 0)))""")
"""Steps of five milliseconds with all state in two globals that are not exported. The first attempt, as its only
variable says, never ends by itself; any other tells the state after one step more.
"""


def told_after(steps: int) -> bytes:
    state = 1
    for done in range(1, steps + 1):
        state = (state * FACTOR + done) % 2**64
    return struct.pack("<QQ", steps, state)


BOTH = wat.module("""(module
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (memory (export "memory") 1) (data (i32.const 16) "startstep")
 (func $tell (param $at i32) (param $length i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
  (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
 (func (export "_start") (call $tell (i32.const 16) (i32.const 5)))
 (func (export "step") (result i32) (call $tell (i32.const 21) (i32.const 4)) (i32.const 0)))""")
"""Says how it was called."""

HELD = wat.module("""(module (global $f (mut funcref) (ref.null func))
 (func (export "_start")) (func (export "step") (result i32) (i32.const 0)))""")


@pytest.mark.unhappy(
    "the death of a member, of a slot, and a drain, in the middle of a step() module with hidden globals"
)
@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_stepping_module_goes_on_from_its_snapshot_when(end: Callable[[str], None], tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:

            async def disturb(_: Coordinator) -> None:
                await seen.until_kept()
                end(seen.where)

            tasklet = msgspec.structs.replace(
                seen.runs.tasklet("slow", SLOW_STEPS),
                durable=True,
                limits=Limits(wall_seconds=300),
                environment=(("A", "$(CHUNK_ATTEMPT)"),),
            )
            report = await seen.runs.run(plan(stage(CountInput(count=1), tasklet=tasklet, retry=FAST)), disturb)
            assert report.complete, (report.message, report.failures)
            (output,) = await seen.runs.outputs("main")
            (done,) = struct.unpack_from("<Q", output)
            assert done > 1, "it went on from a snapshot"
            assert output == told_after(done)
            assert sum(receipt.counters.resumed for receipt in report.receipts) >= 1
            assert nothing_left(seen.runs)

    asyncio.run(story())


@pytest.mark.parametrize(("durable", "said"), [(False, b"start"), (True, b"step")])
def test_a_module_is_run_by_its_step_only_where_it_is_to_be_durable(tmp_path: Path, durable: bool, said: bytes) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:
            tasklet = msgspec.structs.replace(seen.runs.tasklet("both", BOTH), durable=durable)
            report = await seen.runs.run(plan(stage(CountInput(count=2), tasklet=tasklet, retry=FAST)))
            assert report.complete, report.message
            assert await seen.runs.outputs("main") == [said, said]

    asyncio.run(story())


def test_a_durable_command_that_neither_steps_nor_uses_durable_runs_as_ever(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:
            report = await seen.runs.run(durable_plan(seen.runs, wat.write_line("as ever")))
            assert report.complete, report.message
            assert await seen.runs.outputs("main") == [b"as ever\n"]

    asyncio.run(story())


@pytest.mark.unhappy("a step() module with a global that cannot be saved")
def test_a_module_whose_state_cannot_be_saved_fails_naming_the_global_and_never_runs(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched(tmp_path) as seen:
            report = await seen.runs.run(durable_plan(seen.runs, HELD))
            assert not report.complete
            (failure,) = report.failures
            assert failure.fault.kind == "Unsupported"
            assert "global 0 is a mutable funcref" in failure.fault.message

    asyncio.run(story())
