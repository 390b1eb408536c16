"""Every fault of a run comes from a real cause, has its exact type, and says what to do."""

import resource
import threading
import time
from collections.abc import Callable

import pytest
import wasmtime

from tasklet_runner.sandbox.engine import PULSE_SECONDS
from tasklet_runner.sandbox.running import Runner
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import STDERR_TAIL_BYTES, Limits, Outcome, Task
from tests.unit.sandbox import modules
from tests.unit.sandbox.conftest import SMALL, RunWat


def fault_of(outcome: Outcome) -> Fault:
    assert outcome.fault is not None
    assert outcome.fault.message
    assert outcome.fault.remedy
    assert (outcome.stdout, outcome.files) == (b"", ())
    return outcome.fault


def test_an_endless_loop_runs_out_of_fuel_and_says_how_much_it_had_and_how_to_raise_it(run: RunWat) -> None:
    outcome = run(modules.ENDLESS)
    fault = fault_of(outcome)
    assert (fault.reason, fault.fuel_used, outcome.fuel_used) == ("OutOfFuel", 1_000_000, 1_000_000)
    assert "1,000,000" in fault.message
    assert "spec.tasklet.fuel" in fault.remedy


def test_an_endless_loop_with_fuel_to_spare_is_stopped_by_the_clock(run: RunWat, engine: wasmtime.Engine) -> None:
    done = threading.Event()

    def pulse() -> None:
        while not done.wait(PULSE_SECONDS):
            engine.increment_epoch()

    thread = threading.Thread(target=pulse)
    thread.start()
    try:
        started = time.monotonic()
        fault = fault_of(run(modules.ENDLESS, limits=Limits(fuel=2**62, wall_seconds=1)))
        assert time.monotonic() - started >= 0.9
    finally:
        done.set()
        thread.join()
    assert (fault.reason, fault.fuel_used) == ("TimedOut", -1)
    assert "wallSeconds" in fault.remedy


@pytest.mark.parametrize(
    ("wat", "code"),
    [
        pytest.param(modules.command("unreachable"), "UNREACHABLE", id="unreachable code"),
        pytest.param(modules.RECURSE, "STACK_OVERFLOW", id="endless recursion"),
        pytest.param(
            modules.command("(drop (i32.load (i32.const 900000)))"), "MEMORY_OUT_OF_BOUNDS", id="a load out of bounds"
        ),
        pytest.param(
            modules.command("(drop (i32.div_s (i32.const 1) (i32.const 0)))"),
            "INTEGER_DIVISION_BY_ZERO",
            id="a division by zero",
        ),
    ],
)
def test_a_trap_says_its_code_and_where(run: RunWat, wat: str, code: str) -> None:
    fault = fault_of(run(wat))
    assert (fault.kind, fault.reason) == (FaultKind.TRAPPED, f"Trapped({code})")
    assert any("main" in line or "down" in line for line in fault.backtrace)


def test_a_trap_leaves_the_runner_good_for_the_next_task(open_runner: Callable[..., Runner]) -> None:
    runner = open_runner(modules.command("(if (call $get (i32.const 0) (i32.const 1024)) (then unreachable))"))
    reasons = [
        outcome.fault and outcome.fault.reason
        for outcome in map(
            runner.run, [Task(0, 1, "x", b"trap"), Task(1, 1, "x"), Task(2, 1, "x", b"trap"), Task(3, 1, "x")]
        )
    ]
    assert reasons == ["Trapped(UNREACHABLE)", None, "Trapped(UNREACHABLE)", None]


def test_a_trap_in_the_start_function_is_a_trap_too(run: RunWat) -> None:
    wat = '(module (memory (export "memory") 1) (func $boom unreachable) (start $boom) (func (export "_start")))'
    assert fault_of(run(wat)).reason == "Trapped(UNREACHABLE)"


def test_an_exit_code_comes_with_the_tail_of_stderr(run: RunWat) -> None:
    fault = fault_of(run(modules.COMPLAIN_AND_EXIT))
    assert (fault.reason, fault.exit_code, fault.stderr) == ("ExitCode(3)", 3, "line one\nno such record!")
    assert "no such record!" in fault.message


def test_of_a_long_stderr_the_end_is_kept(run: RunWat) -> None:
    wat = modules.command(
        """(local $left i32) (local.set $left (i32.const 5000))
     (loop (call $put (i32.const 2) (i32.const 1024) (i32.const 16))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
     (call $put (i32.const 2) (i32.const 64) (i32.const 3)) (call $exit (i32.const 1))""",
        data="END",
    )
    stderr = fault_of(run(wat)).stderr
    assert (len(stderr), stderr[-3:]) == (STDERR_TAIL_BYTES, "END")


@pytest.mark.parametrize(
    "wat",
    [
        pytest.param(modules.command("", memory="17"), id="whose memory starts above the limit"),
        pytest.param(modules.GROW_THEN_ABORT, id="that grew to the limit and aborted"),
        pytest.param(modules.GROW_THEN_EXIT, id="that grew to the limit and exited with 1"),
        pytest.param(modules.ASK_TOO_MUCH_AND_SAY_SO, id="that was refused one large piece and said so"),
    ],
)
def test_memory_is_named_as_the_cause_for_a_module(run: RunWat, wat: str) -> None:
    fault = fault_of(run(wat))
    assert fault.reason == "MemoryExceeded"
    assert "1Mi" in fault.message
    assert "spec.tasklet.memory" in fault.remedy


@pytest.mark.parametrize(
    ("wat", "reason"),
    [
        pytest.param(modules.OUTGROWN_AT_ITS_OWN_MAXIMUM, "ExitCode(1)", id="that stopped at a maximum of its own"),
        pytest.param(modules.COMPLAIN_AND_EXIT, "ExitCode(3)", id="that never grew"),
    ],
)
def test_memory_is_not_blamed_for_a_module(run: RunWat, wat: str, reason: str) -> None:
    assert fault_of(run(wat)).reason == reason


def test_growing_in_vain_is_no_fault_of_a_program_that_copes(run: RunWat) -> None:
    assert run(modules.command("(drop (memory.grow (i32.const 1000)))")).fault is None


@pytest.mark.parametrize(
    ("wat", "output_files", "found"),
    [
        pytest.param(modules.WRITE_MUCH, False, "100000 bytes", id="on stdout"),
        pytest.param(modules.WRITE_MUCH, True, "200000 bytes", id="on stdout and in files together"),
        pytest.param(modules.MANY_FILES, True, "more than 10000 files", id="in more files than are taken"),
        pytest.param(modules.DEEP_DIRECTORIES, True, "1024 bytes below /out", id="in directories nested past any path"),
    ],
)
def test_too_much_output(run: RunWat, wat: str, output_files: bool, found: str) -> None:
    limits = Limits(fuel=10**9, memory=1024 * 1024, max_output=99_999)
    fault = fault_of(run(wat, output_files=output_files, limits=limits))
    assert fault.reason == "OutputTooLarge"
    assert found in fault.message
    assert "maxOutput" in fault.remedy


def test_a_small_limit_on_output_is_kept_below_the_size_of_a_frame(run: RunWat) -> None:
    task = Task(0, 1, "x", b"12345678901")
    assert fault_of(run(modules.ECHO, task, limits=Limits(fuel=10**6, max_output=10))).reason == "OutputTooLarge"


def test_output_cut_off_by_the_file_size_limit_is_too_large_and_no_exit_code(run: RunWat) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1001, before[1]))
    try:
        stubborn = modules.command("""(loop (i32.store (i32.const 0) (i32.const 1024))
         (i32.store (i32.const 4) (i32.const 600))
         (br_if 0 (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
         (call $exit (i32.const 1))""")
        outcome = run(stubborn)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fault_of(outcome).reason == "OutputTooLarge"


def test_faults_are_the_same_each_time(open_runner: Callable[..., Runner]) -> None:
    for wat in (modules.ENDLESS, modules.GROW_THEN_ABORT, modules.COMPLAIN_AND_EXIT, modules.RECURSE):
        runner = open_runner(wat, limits=SMALL)
        assert runner.run(Task(0, 1, "x")).fault == runner.run(Task(0, 1, "x")).fault
