"""A module that exports `step` computes the same whether or not it is interrupted, or is refused in words."""

import os
from pathlib import Path

import msgspec
import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasklet_runner.sandbox.stepping import SNAPSHOT_SECONDS, SteadyPace, pause_after
from tasklet_runner.wire.errors import FaultError, InputError
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Limits, Outcome, Task
from tests.unit.sandbox import step_modules
from tests.unit.sandbox.stepping_rig import ROOMY, Cuts, Stepping

ESTIMATE = Path(__file__).resolve().parents[3] / "examples" / "power-outage" / "estimate.wasm"

MODULES = {
    "hidden globals of every type": bytes(wasmtime.wat2wasm(step_modules.HIDDEN)),
    "memory that grows": bytes(wasmtime.wat2wasm(step_modules.GROWING)),
    "stdin read piece by piece": bytes(wasmtime.wat2wasm(step_modules.READING)),
    "a reactor with a start function": bytes(wasmtime.wat2wasm(step_modules.INITIALIZED)),
}


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def said(outcome: Outcome) -> tuple[object, ...]:
    return outcome.fault, outcome.stdout, outcome.fuel_used


interruptions = st.lists(st.tuples(st.sets(st.integers(1, 9)), st.integers(1, 9)), max_size=4)
"""Attempts before the last: after which steps they save, and after which the power is cut."""


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attempts=interruptions)
def test_output_and_fuel_are_the_same_wherever_it_was_saved_and_cut(
    tmp_path_factory: pytest.TempPathFactory, name: str, attempts: list[tuple[set[int], int]]
) -> None:
    root = tmp_path_factory.mktemp("steps")
    undisturbed = Stepping(MODULES[name], root / "undisturbed").attempt()
    assert undisturbed.fault is None
    disturbed = Stepping(MODULES[name], root / "disturbed")
    for save_after, last in attempts:
        disturbed.cut(save_after, last)
    assert said(disturbed.attempt()) == said(undisturbed)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attempts=interruptions)
def test_a_c_program_with_malloc_stdio_and_floats_gives_the_same_digits_wherever_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[tuple[set[int], int]]
) -> None:
    root = tmp_path_factory.mktemp("steps")
    task = Task(0, 1, "0-bb", b"7 9 200\n")
    undisturbed = Stepping(ESTIMATE.read_bytes(), root / "undisturbed", task=task).attempt()
    assert undisturbed.fault is None
    disturbed = Stepping(ESTIMATE.read_bytes(), root / "disturbed", task=task)
    for save_after, last in attempts:
        disturbed.cut(save_after, last)
    assert said(disturbed.attempt()) == said(undisturbed)


def test_a_snapshot_says_how_far_it_is_and_the_next_run_does_only_the_rest(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["hidden globals of every type"], tmp_path)
    chunk.cut({3, 5}, last=6)
    assert (chunk.description().steps, chunk.description().module) == (5, chunk.source)
    rest = Cuts()
    assert chunk.attempt(rest).fault is None
    assert rest.steps == 3  # of nine, five were saved, and the last one ends it


@pytest.mark.unhappy("a step() module with grown memory")
def test_memory_that_grew_is_restored_grown_and_zeros_over_initial_data_stay_zeros(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["memory that grows"], tmp_path)
    chunk.cut({4}, last=4)
    assert chunk.description().pages == 14
    assert chunk.attempt().stdout.count(b"\0b") >= 9


@pytest.mark.unhappy("a step() module with a trap in mid-step")
def test_a_trap_in_mid_step_is_the_fault_and_the_last_snapshot_stays(tmp_path: Path) -> None:
    chunk = Stepping(wat(step_modules.trapping(5)), tmp_path)
    fault = chunk.attempt(Cuts(frozenset({3}))).fault
    assert fault is not None
    assert fault.reason == "Trapped(UNREACHABLE)"
    assert chunk.description().steps == 3
    again = chunk.attempt().fault
    assert again is not None
    assert (again.reason, again.fuel_used) == (fault.reason, fault.fuel_used)


@pytest.mark.unhappy("step() returns a number that means nothing")
@pytest.mark.parametrize("code", [2, 77, -1])
def test_another_number_than_done_and_more_is_an_exit_code(tmp_path: Path, code: int) -> None:
    fault = Stepping(wat(step_modules.returning(code)), tmp_path).attempt().fault
    assert fault is not None
    assert (fault.kind, fault.exit_code) == (FaultKind.EXIT_CODE, code)
    assert f"step() returned {code}" in fault.message


def test_an_exit_with_code_zero_within_a_step_is_the_end_of_the_work(tmp_path: Path) -> None:
    module = wat(step_modules.stepping("(call $put_number (i64.const 5)) (call $exit (i32.const 0)) (i32.const 1)"))
    outcome = Stepping(module, tmp_path).attempt()
    assert (outcome.fault, outcome.stdout) == (None, (5).to_bytes(8, "little"))


@pytest.mark.unhappy("fuel runs out over many steps, with and without interruptions")
def test_fuel_counts_over_all_steps_and_over_interruptions(tmp_path: Path) -> None:
    limits = Limits(fuel=2_000, memory=ROOMY.memory, wall_seconds=60, max_output=1000)
    undisturbed, disturbed = (
        Stepping(wat(step_modules.ENDLESS), tmp_path / name, limits=limits) for name in ("undisturbed", "disturbed")
    )
    count = Cuts()
    fault = undisturbed.attempt(count).fault
    assert fault is not None
    assert (fault.kind, fault.fuel_used) == (FaultKind.OUT_OF_FUEL, 2_000)
    assert count.steps > 20
    disturbed.cut({15}, last=15)
    rest = Cuts()
    assert disturbed.attempt(rest).fault == fault
    assert rest.steps == count.steps - 15


@pytest.mark.unhappy("a snapshot of another module")
def test_a_snapshot_of_another_module_is_refused_and_stays(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["hidden globals of every type"], tmp_path)
    chunk.cut({2}, last=2)
    chunk.source = "77" * 32
    with pytest.raises(InputError, match=r"of another module: it is of 5a5a5a5a5a5a…, this is 777777777777…"):
        chunk.attempt()
    assert chunk.description().steps == 2


@pytest.mark.unhappy("a snapshot of another input")
def test_a_snapshot_of_another_input_is_refused(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["stdin read piece by piece"], tmp_path)
    chunk.cut({2}, last=2)
    chunk.task = Task(0, 1, "0-cc", b"something else")
    with pytest.raises(InputError, match="of another input: it is of chunk 0-aa, this is 0-cc"):
        chunk.attempt()


@pytest.mark.unhappy("a snapshot with more memory than the tasklet may have now")
def test_a_snapshot_that_is_larger_than_the_memory_limit_is_refused(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["memory that grows"], tmp_path)
    chunk.cut({6}, last=6)
    chunk.limits = msgspec.structs.replace(ROOMY, memory=1024 * 1024)
    with pytest.raises(InputError, match="the snapshot has 20 pages of memory, more than"):
        chunk.attempt()


@pytest.mark.unhappy("a torn or flipped snapshot")
def test_a_snapshot_that_is_torn_or_flipped_anywhere_is_refused(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["hidden globals of every type"], tmp_path)
    chunk.cut({4}, last=4)
    file = chunk.durable / "snapshot"
    good = file.read_bytes()
    for broken in (good[:-1], good[: len(good) // 2], b"", _flipped(good, 70_000), _flipped(good, 40), good + b"x"):
        file.write_bytes(broken)
        with pytest.raises(InputError, match="snapshot"):
            chunk.attempt()
    file.write_bytes(good)
    assert chunk.attempt().fault is None


def _flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position % len(data)] ^= 4
    return bytes(changed)


def test_a_file_that_is_read_and_closed_between_snapshots_is_read_as_usual(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "f").write_bytes(bytes(range(48, 90)))
    chunk = Stepping(wat(step_modules.HOLDING), tmp_path, mounts=(("/data", mount),))
    pace = Cuts(frozenset(range(1, 9)))
    assert chunk.attempt(pace).stdout == b"0123456789:;<=>?0123456789:;"
    assert pace.taken == 1, "only after step four is no file open"
    assert chunk.description().steps == 4
    assert chunk.attempt().stdout == b"0123456789:;<=>?0123456789:;"


@pytest.mark.unhappy("a module that keeps a file open after every step")
def test_a_module_that_always_holds_a_file_open_is_told_that_it_cannot_be_saved(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "f").write_bytes(b"x")
    chunk = Stepping(wat(step_modules.HOLDING), tmp_path, mounts=(("/data", mount),))
    with pytest.raises(FaultError) as raised:
        chunk.attempt(Cuts(frozenset(range(1, 9)), patience=0.0))
    assert (raised.value.fault.kind, "files open" in raised.value.fault.message) == (FaultKind.UNSUPPORTED, True)


@pytest.mark.unhappy("a step() module that is to write files to /out")
def test_a_program_with_out_is_refused_because_snapshots_hold_no_files(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["stdin read piece by piece"], tmp_path, output_files=True)
    with pytest.raises(FaultError) as raised:
        chunk.attempt()
    assert (raised.value.fault.kind, "/out" in raised.value.fault.message) == (FaultKind.UNSUPPORTED, True)


@pytest.mark.unhappy("the disk is full in the middle of a snapshot")
def test_a_snapshot_that_does_not_fit_fails_in_words_and_the_last_one_stays(tmp_path: Path) -> None:
    chunk = Stepping(MODULES["memory that grows"], tmp_path)
    chunk.cut({3}, last=3)
    (chunk.durable / ".snapshot.tmp").symlink_to("/dev/full")
    with pytest.raises(InputError, match="does not fit into the member's scratch"):
        chunk.attempt(Cuts(frozenset({2})))
    assert os.listdir(chunk.durable) == ["snapshot"]
    assert chunk.description().steps == 3


def test_snapshots_are_rarer_where_they_are_slow_and_never_more_than_one_a_second() -> None:
    assert pause_after(0.001) == SNAPSHOT_SECONDS
    assert pause_after(0.5) == pytest.approx(12.0)
    now = [0.0]
    pace = SteadyPace(lambda: now[0])
    seen = []
    for moment in (0.5, 1.0, 1.5, 2.0):
        now[0] = moment
        seen.append(pace.is_due())
        if seen[-1]:
            pace.saved(0.0)
    assert seen == [False, True, False, True]
