"""Every fault from a real cause, through `leasegrid run`: its exact type, a remedy, and the other chunks finish."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process.jobs import run_job
from tests.support import wat
from tests.support.running import Place

SPEC = """\
  tasklet:
    module: {path: tasklet.wasm}
    args: [argument]
LIMITS
  input: {count: 1}
"""


@dataclass(frozen=True)
class Cause:
    """What goes wrong, what it must end in, and words that message or remedy must hold."""

    module: bytes
    limits: str
    reason: str
    words: tuple[str, ...]


CAUSES = {
    "a loop without end runs out of fuel, and says how much was used and how to raise it": Cause(
        wat.loop(), "    fuel: 1000000", "OutOfFuel", ("1000000", "spec.tasklet.fuel")
    ),
    "memory that grows past its limit is MemoryExceeded and names the field": Cause(
        wat.grow(step_pages=1), "    memory: 2Mi", "MemoryExceeded", ("spec.tasklet.memory",)
    ),
    "a loop within its fuel is ended by the wall clock": Cause(
        wat.loop(), "    fuel: 1000000000000000\n    wallSeconds: 1", "TimedOut", ("wallSeconds",)
    ),
    "a WASI sleep, which burns no fuel, is ended by the wall clock": Cause(
        wat.sleep(60_000), "    wallSeconds: 1", "TimedOut", ("wallSeconds",)
    ),
    "a flood of stdout is OutputTooLarge": Cause(
        wat.spew(), "    maxOutput: 1Mi\n    wallSeconds: 20", "OutputTooLarge", ("spec.tasklet.maxOutput",)
    ),
    "many small files are OutputTooLarge too": Cause(
        wat.write_files(200_000, 16), "    maxOutput: 1Mi\n    outputFiles: Always", "OutputTooLarge", ("maxOutput",)
    ),
    "a trap comes with its code": Cause(wat.trap(), "", "Trapped(UNREACHABLE)", ("unreachable",)),
    "an exit code comes with the tail of stderr": Cause(
        wat.exit_code(3, "the widget is missing"), "", "ExitCode(3)", ("3",)
    ),
    "what is not WebAssembly is a BadModule": Cause(b"not a module", "", "BadModule", ("WebAssembly",)),
    "a missing import is named": Cause(wat.missing_import(), "", "BadModule", ("import",)),
    "a module without _start is named": Cause(wat.no_start(), "", "BadModule", ("_start",)),
}


@pytest.mark.unhappy("every fault of section 1 from a real cause, with its exact type and a remedy")
@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES.keys())
def test_a_fault_has_its_type_and_a_remedy(cause: Cause, tmp_path: Path) -> None:
    finished = run_job(Place(tmp_path), SPEC.replace("LIMITS", cause.limits), {"tasklet.wasm": cause.module})

    assert finished.ended.code == 1, str(finished.ended)
    (failure,) = finished.job["failures"]
    assert failure["reason"] == cause.reason
    assert failure["remedy"]
    for word in cause.words:
        assert word in failure["message"] + " " + failure["remedy"]


def test_a_trap_shows_the_wasm_backtrace(tmp_path: Path) -> None:
    finished = run_job(Place(tmp_path), SPEC.replace("LIMITS", ""), {"tasklet.wasm": wat.trap()})

    assert finished.failure(0)["backtrace"]


def test_a_failed_exit_shows_the_tail_of_stderr(tmp_path: Path) -> None:
    module = wat.exit_code(3, "the widget is missing")

    finished = run_job(Place(tmp_path), SPEC.replace("LIMITS", ""), {"tasklet.wasm": module})

    assert "the widget is missing" in finished.failure(0)["stderr"]


@pytest.mark.usefixtures("shipped_python")
@pytest.mark.unhappy("a failing chunk among others: the others finish, the exit code says that some failed")
def test_the_other_chunks_finish(tmp_path: Path) -> None:
    spec = """\
  tasklet:
    python:
      source: {inline: "import sys; line = input(); sys.exit(7) if line == 'bad' else print('did', line)"}
  input: {items: [{value: a}, {value: bad}, {value: c}]}
"""

    finished = run_job(Place(tmp_path), spec, {}, "--results", str(tmp_path / "out"))

    assert finished.ended.code == 1
    assert finished.failure(1)["reason"] == "ExitCode(7)"
    assert finished.job["chunks"]["succeeded"] == 2
    assert (tmp_path / "out/0/stdout").read_text() == "did a\n"
    assert (tmp_path / "out/2/stdout").read_text() == "did c\n"


@pytest.mark.unhappy("a module of another sha256 than the Job says: both are named, nothing runs")
def test_a_wrong_sha256_is_refused_before_anything_runs(tmp_path: Path) -> None:
    spec = """\
  tasklet:
    module: {path: tasklet.wasm, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
  input: {count: 1}
"""

    finished = run_job(Place(tmp_path), spec, {"tasklet.wasm": wat.echo()})

    assert finished.ended.code == 4, str(finished.ended)
    assert "aaaaaaaa" in finished.job["message"]
    assert finished.job["chunks"]["succeeded"] == 0
