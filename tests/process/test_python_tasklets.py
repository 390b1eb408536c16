"""Python files as tasklets: CPython for WASI itself, compiled once per session."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tasklet_runner.sandbox.engine import new_engine
from tasklet_runner.sandbox.python_runtime import RUNTIME_VARIABLE, runtime_path
from tasklet_runner.sandbox.running import Places, Runner
from tasklet_runner.wire.errors import FaultError, InputError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Limits, Mode, Outcome, Program, Task

OpenPython = Callable[..., Runner]
PYTHON = Program(
    name="tool", language=Language.PYTHON, source="00", runtime=DEFAULT_PYTHON_RUNTIME, limits=Limits(fuel=10**11)
)
ANSWERING = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    text = request.get("input", "")
    reply = {"id": request["id"]}
    {body}
    print(json.dumps(reply))
"""


@pytest.fixture(scope="module")
def python_code(native_python: Path) -> Iterator[int]:
    (path,) = native_python.glob("*.cwasm")
    with path.open("rb") as code:
        yield code.fileno()


@pytest.fixture
def open_python(python_code: int) -> Iterator[OpenPython]:
    """A runner of a script; keywords are fields of its Program."""
    runners: list[Runner] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        places = Places(root / "scratch", root / "held", root / "source.py", root / "blobs")

        def make(script: str, **fields: Any) -> Runner:  # noqa: ANN401 - the fields of Program, each of its own type
            places.source.write_text(script)
            program = msgspec.structs.replace(PYTHON, **fields)
            runners.append(Runner(new_engine(), program, code_fd=python_code, places=places))
            return runners[-1]

        yield make
        for runner in runners:
            runner.close()


def answering(body: str) -> str:
    return ANSWERING.replace("{body}", body)


def ask(runner: Runner, *inputs: bytes) -> list[Outcome]:
    return [runner.run(Task(index, 1, f"{index}-aa", data)) for index, data in enumerate(inputs)]


def fault_of(outcome: Outcome) -> Fault:
    assert outcome.fault is not None
    assert outcome.fault.remedy
    return outcome.fault


def test_a_script_sees_its_arguments_environment_and_input(open_python: OpenPython) -> None:
    script = "import os, sys; print(sys.argv, os.environ['WHO'], sys.stdin.read()); print('noted', file=sys.stderr)"
    runner = open_python(script, arguments=("-n", "$(CHUNK_INDEX)"), environment=(("WHO", "$(CHUNK_ID)"),))
    outcome = runner.run(Task(5, 1, "5-cc", "grüße".encode()))
    assert outcome.fault is None
    assert outcome.stdout.decode() == "['/tasklet/tool.py', '-n', '5'] 5-cc grüße\n"
    assert outcome.stderr == b"noted\n"


def test_sets_of_strings_and_fuel_are_the_same_each_time_in_fresh_interpreters(open_python: OpenPython) -> None:
    runner = open_python("print({'a', 'b', 'c', 'd', 'e'}, 'seen' in globals()); seen = 1")
    first, second = ask(runner, b"", b"")
    assert first.stdout == second.stdout
    assert first.stdout.endswith(b"False\n")
    assert first.fuel_used == second.fuel_used > 0


def test_a_script_reads_in_writes_out_and_leaves_nothing_else(open_python: OpenPython) -> None:
    script = "open('/out/copy', 'w').write(open('/in/d/a.txt').read().upper())"
    runner = open_python(script, input_files=True, output_files=True)
    outcome = runner.run(Task(0, 1, "0-aa", b"text", "d/a.txt"))
    assert outcome.fault is None
    assert [(file.name, file.data) for file in outcome.files] == [("copy", b"TEXT")]


def test_its_own_source_and_the_machine_are_out_of_reach(open_python: OpenPython) -> None:
    script = """
import os
for attempt in (lambda: open('/tasklet/tool.py', 'w'), lambda: open('/etc/passwd'), lambda: open('/tasklet/../../x')):
    try:
        attempt()
        print('reached')
    except OSError as error:
        print('refused')
"""
    assert ask(open_python(script), b"")[0].stdout == b"refused\n" * 3


@pytest.mark.parametrize(
    ("script", "reason", "words"),
    [
        pytest.param("raise SystemExit(4)", "ExitCode(4)", "code 4", id="an exit code"),
        pytest.param("1 / 0", "ExitCode(1)", "ZeroDivisionError", id="an exception"),
        pytest.param("print(", "ExitCode(1)", "SyntaxError", id="a file that is no Python"),
        pytest.param("bytearray(10**9)", "MemoryExceeded", "256Mi", id="one allocation past the memory"),
        pytest.param("x = [bytes(9**6) for _ in range(9**6)]", "MemoryExceeded", "256Mi", id="many small ones"),
        pytest.param("while True: pass", "OutOfFuel", "2,000,000,000", id="an endless loop"),
        pytest.param("print('x' * 2**20)", "OutputTooLarge", "1048577 bytes", id="too much output"),
    ],
)
def test_a_script_fails_with(open_python: OpenPython, script: str, reason: str, words: str) -> None:
    limits = Limits(fuel=2 * 10**9, max_output=2**20)
    fault = fault_of(ask(open_python(script, limits=limits), b"")[0])
    assert fault.reason == reason
    assert words in fault.message


def test_one_interpreter_answers_many_chunks_in_loop_mode(open_python: OpenPython) -> None:
    runner = open_python("seen = 0\n" + answering("seen += 1; reply['output'] = f'{seen} {text}'"), mode=Mode.LOOP)
    outcomes = ask(runner, b"a", "ü\n".encode(), b"")
    assert [outcome.stdout.decode() for outcome in outcomes] == ["1 a", "2 ü\n", "3 "]
    assert outcomes[2].wall_microseconds < outcomes[0].wall_microseconds


def test_bytes_travel_in_base64_and_other_values_as_json(open_python: OpenPython) -> None:
    body = "reply |= {'output_base64': request['input_base64']} if 'input_base64' in request else {'output': [text, 1]}"
    outcomes = ask(open_python(answering(body), mode=Mode.LOOP), b"\xff\x00", b"t")
    assert [outcome.stdout for outcome in outcomes] == [b"\xff\x00", b'["t",1]']


def test_a_large_reply_is_held_like_any_output(open_python: OpenPython) -> None:
    outcomes = ask(open_python(answering("reply['output'] = 'x' * 100_000"), mode=Mode.LOOP), b"")
    assert (outcomes[0].fault, outcomes[0].held_bytes) == (None, 100_000)


def test_an_error_reply_fails_its_chunk_and_the_interpreter_goes_on(open_python: OpenPython) -> None:
    body = "globals().setdefault('seen', []).append(1); reply['error' if text == 'bad' else 'output'] = str(len(seen))"
    outcomes = ask(open_python(answering(body), mode=Mode.LOOP), b"", b"bad", b"")
    assert fault_of(outcomes[1]).reason == "ExitCode(1)"
    assert "reported an error: 2" in fault_of(outcomes[1]).message
    assert (outcomes[0].stdout, outcomes[2].stdout) == (b"1", b"3")


def test_an_interpreter_that_has_used_its_fuel_is_replaced_and_the_chunk_rerun(open_python: OpenPython) -> None:
    body = "sum(range(10**5)); count += 1; reply['output'] = str(count)"
    limits = Limits(fuel=1_500_000_000, wall_seconds=60)
    outcomes = ask(open_python("count = 0\n" + answering(body), mode=Mode.LOOP, limits=limits), *[b"work"] * 12)
    counts = [int(outcome.stdout) for outcome in outcomes if outcome.fault is None]
    assert len(counts) == 12
    assert 1 < counts.count(1) < 12


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        pytest.param(
            "\n        while text: pass", "OutOfFuel", "fuel", id="when a fresh interpreter's fuel is not enough"
        ),
        pytest.param("sys.exit(3)", "ExitCode(3)", "code 3", id="when it exits"),
        pytest.param("sys.exit(0)", "ExitCode(1)", "without a reply", id="when it leaves without a reply"),
        pytest.param("print('chatter')", "ExitCode(1)", "not a JSON object", id="when it prints something else"),
        pytest.param("reply['id'] = 'other'", "ExitCode(1)", "'other'", id="when it answers for another chunk"),
        pytest.param("pass", "ExitCode(1)", "neither", id="when it says neither output nor error"),
        pytest.param("bytearray(10**9)", "MemoryExceeded", "memory", id="when it needs too much memory"),
        pytest.param("sys.stdout.write('x' * 10**7)", "OutputTooLarge", "longer than", id="when it never ends a line"),
    ],
)
def test_a_loop_fails_and_the_next_chunk_has_a_good_interpreter(
    open_python: OpenPython, body: str, reason: str, words: str
) -> None:
    script = answering(f"if text == 'bad': {body}\n    else: reply['output'] = 'fine'")
    runner = open_python(script, mode=Mode.LOOP, limits=Limits(fuel=2 * 10**9, max_output=1024))
    bad, good = ask(runner, b"bad", b"good")
    assert fault_of(bad).reason == reason
    assert words in fault_of(bad).message
    assert (good.fault, good.stdout) == (None, b"fine")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("while text == 'slow': pass", id="a computation"),
        pytest.param("text == 'slow' and sys.stdin.readline()", id="a wait for a line that does not come"),
    ],
)
def test_a_line_that_takes_too_long_times_out_and_ends_its_interpreter(open_python: OpenPython, body: str) -> None:
    limits = Limits(fuel=2**62, wall_seconds=2)
    runner = open_python(answering(f"{body}\n    reply['output'] = 'fine'"), mode=Mode.LOOP, limits=limits)
    outcomes = ask(runner, b"", b"slow", b"")
    assert fault_of(outcomes[1]).reason == "TimedOut"
    assert (outcomes[0].stdout, outcomes[2].stdout) == (b"fine", b"fine")


@pytest.mark.parametrize("fields", [{"output_files": True}, {"input_files": True}, {"arguments": ("$(CHUNK_ID)",)}])
def test_a_loop_program_cannot_have_what_belongs_to_one_chunk(open_python: OpenPython, fields: dict[str, Any]) -> None:
    with pytest.raises(FaultError) as caught:
        open_python("", mode=Mode.LOOP, **fields)
    assert caught.value.fault.kind is FaultKind.UNSUPPORTED


def test_a_runtime_of_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="not aa"):
        runtime_path("aa")
    monkeypatch.setenv(RUNTIME_VARIABLE, str(tmp_path / "absent.wasm"))
    with pytest.raises(InputError, match=RUNTIME_VARIABLE):
        runtime_path("bb")
