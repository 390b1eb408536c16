"""Python tasklets through a real member: fresh interpreters, and one interpreter that answers line by line."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Limits, Mode, Result, Task
from tasklet_runner.wire.work import NotRun, Prepared, Results, Run
from tests.support.members import expect, leased
from tests.support.python_members import Script, ask, prepare_script

pytestmark = pytest.mark.usefixtures("compiled_python")

FRESH = """
import os, sys
seen = globals().get("seen", 0) + 1
sys.stderr.write("kept words")
print(seen, sys.stdin.read(), sys.argv[0], os.environ["WHAT"])
if os.environ["WHAT"] == "fail":
    sys.exit(3)
"""

LOOP = """
import json, sys
calls = 0
for line in sys.stdin:
    request = json.loads(line)
    calls += 1
    if request["input"] == "spin":
        while True:
            pass
    if request["input"] == "bad":
        print(json.dumps({"id": request["id"], "error": "not this one"}))
    else:
        print(json.dumps({"id": request["id"], "output": f"{calls} {request['input']}"}))
"""


def tasks(*inputs: str) -> tuple[Task, ...]:
    return tuple(Task(index, 1, f"{index}-x", text.encode()) for index, text in enumerate(inputs))


async def asked_until_run(connection: WorkConnection, given: tuple[Task, ...], frame: int) -> tuple[Result, ...]:
    """What holders do: a frame that came between two processes of its slot is sent again."""
    while True:
        await connection.send(Run(0, frame, 0, given))
        answer = await expect(connection, Results | NotRun)  # type: ignore[arg-type]  # a union works
        if isinstance(answer, Results):
            return answer.results
        frame += 1


def test_each_chunk_has_an_interpreter_of_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            script = Script(FRESH, environment=(("WHAT", "$(CHUNK_INDEX)"),))
            assert isinstance(await prepare_script(connection, script), Prepared)
            results = await ask(connection, *tasks("a", "b"))
            assert [result.outcome.stdout.split()[:2] for result in results] == [[b"1", b"a"], [b"1", b"b"]]
            assert [result.outcome.stdout.split()[-1] for result in results] == [b"0", b"1"]
            assert [result.outcome.stderr for result in results] == [b"kept words"] * 2

    asyncio.run(story())


A_FEW_DIGITS = 1000
"""Units of fuel, of some 250 million."""


def test_the_same_script_and_input_use_the_same_fuel_on_two_members_but_for_a_file_time(tmp_path: Path) -> None:
    async def fuel(root: Path) -> int:
        root.mkdir()
        async with leased(root) as (_, _client, connection):
            script = Script("import sys; print(hash('x'), {'a', 'b', 'c'}, len(sys.stdin.read()))")
            assert isinstance(await prepare_script(connection, script), Prepared)
            (result,) = await ask(connection, *tasks("a"))
            assert result.outcome.fault is None
            return result.outcome.fuel_used

    async def story() -> None:
        # CPython reads when its own file was changed, digit by digit, and that instant only the kernel sets.
        assert abs(await fuel(tmp_path / "a") - await fuel(tmp_path / "b")) < A_FEW_DIGITS

    asyncio.run(story())


@pytest.mark.unhappy("a Python tasklet that exits with a code")
def test_a_script_that_exits_with_a_code_tells_it_and_its_stderr(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            assert isinstance(
                await prepare_script(connection, Script(FRESH, environment=(("WHAT", "fail"),))), Prepared
            )
            (result,) = await ask(connection, *tasks("a"))
            assert result.outcome.fault is not None
            assert result.outcome.fault.reason == "ExitCode(3)"
            assert result.outcome.fault.stderr == "kept words"

    asyncio.run(story())


def test_in_loop_mode_one_interpreter_answers_all_chunks_and_an_error_is_of_one_chunk_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            assert isinstance(await prepare_script(connection, Script(LOOP, mode=Mode.LOOP)), Prepared)
            first = await ask(connection, *tasks("a", "bad", "c"))
            assert [result.outcome.stdout for result in first] == [b"1 a", b"", b"3 c"]
            fault = first[1].outcome.fault
            assert fault is not None
            assert fault.kind is FaultKind.EXIT_CODE
            assert "not this one" in fault.message
            (second,) = await ask(connection, *tasks("d"), frame=2)
            assert second.outcome.stdout == b"4 d"

    asyncio.run(story())


@pytest.mark.unhappy("a loop that hangs, and one whose slot is killed")
def test_a_loop_that_hangs_or_loses_its_slot_begins_anew_with_the_next_chunk(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection):
            # Long enough for an interpreter that starts on a busy machine.
            limits = Limits(fuel=10**14, wall_seconds=10)
            assert isinstance(await prepare_script(connection, Script(LOOP, mode=Mode.LOOP, limits=limits)), Prepared)
            hung = await ask(connection, *tasks("a", "spin"))
            assert hung[0].outcome.stdout == b"1 a"
            assert hung[1].outcome.fault is not None
            assert hung[1].outcome.fault.kind is FaultKind.TIMED_OUT
            (after,) = await ask(connection, *tasks("b"), frame=2)
            assert after.outcome.stdout == b"1 b"
            os.kill(rig.slot_pids()[0], signal.SIGKILL)
            (again,) = await asked_until_run(connection, tasks("c"), frame=3)
            assert again.outcome.stdout == b"1 c"

    asyncio.run(story())
