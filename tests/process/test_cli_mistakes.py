"""What a user can get wrong before anything runs: a clear line each, the right exit status, nothing started."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import cli_jobs
from tests.support.listing import leftovers
from tests.support.running import Ended, Place, run_leasegrid

TEN_MISTAKES = """\
apiVersion: leasegrid.dev/v1alpha1
kind: Job
metadata: {name: Not_A_Name}
spec:
  tasklet:
    module: {path: a.wasm, url: "https://example.org/a.wasm"}
    fuel: -3
    memroy: 16Mi
    wallSeconds: soon
  input: {count: 3, items: [{value: a}]}
  parallelism: 0
  output: {layout: ByColour}
---
apiVersion: leasegrid.dev/v1alpha1
kind: InstancePool
metadata: {name: pool}
spec: {targetSize: 5, maxSize: 2}
---
apiVersion: leasegrid.dev/v1alpha1
kind: Jobb
metadata: {name: other}
"""
PATHS = (
    "metadata.name",
    "spec.tasklet.module",
    "spec.tasklet.fuel",
    "spec.tasklet.memroy",
    "spec.tasklet.wallSeconds",
    "spec.input",
    "spec.parallelism",
    "spec.output.layout",
    "InstancePool/pool: spec",
    "kind",
)


def nothing_was_started(place: Place) -> bool:
    """No process, no socket, no runtime directory, and not even a key: the state directory is as it was."""
    return leftovers(place.root, place.runtime, place.scratch, place.state).nothing


@pytest.mark.smoke
@pytest.mark.unhappy("YAML with ten different mistakes: ten messages with paths, nothing started")
@pytest.mark.parametrize("command", ["run", "validate"])
def test_ten_mistakes_are_ten_messages_with_paths_and_nothing_is_started(command: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, TEN_MISTAKES)

    ended = run_leasegrid(place, command, file)

    *faults, last = ended.error.splitlines()
    assert ended.code == 2, str(ended)
    assert len(faults) == 10, str(ended)
    assert all(any(path in fault for fault in faults) for path in PATHS), str(ended)
    assert all(fault.startswith(f"{file}:") for fault in faults)
    assert last == "leasegrid: 10 faults, nothing was started"
    assert nothing_was_started(place)


def refused(place: Place, *arguments: str) -> Ended:
    """A command that says why in one line on stderr and leaves nothing."""
    ended = run_leasegrid(place, *arguments)
    assert not ended.out, str(ended)
    assert len(ended.error.splitlines()) == 1, str(ended)
    assert ended.error.startswith("leasegrid: "), str(ended)
    assert nothing_was_started(place)
    return ended


@pytest.mark.unhappy("a file that cannot be read: a clear line")
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("missing.yaml", None, "there is no such file", id="a file that is not there"),
        pytest.param(".", None, "is a directory", id="a directory"),
        pytest.param("binary.yaml", b"\xff\xfe\x00", "no UTF-8 text (line 1)", id="a file that is no text"),
    ],
)
def test_an_unreadable_file_is_named(name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)

    ended = refused(place, "run", str(tmp_path / name))

    assert ended.code == 4
    assert said in ended.error


def test_a_results_directory_that_cannot_be_made_is_found_before_anything_runs(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("hello"))

    ended = refused(place, "run", file, "--results", f"{file}/below")

    assert ended.code == 4
    assert "results directory" in ended.error


def test_a_timeline_that_cannot_be_written_is_found_before_anything_runs(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("hello"))

    assert refused(place, "run", file, "--timeline", str(tmp_path / "none" / "x.svg")).code == 4


def test_what_one_machine_cannot_do_is_said_by_field_before_anything_runs(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(
        place, cli_jobs.job("hello", "  output: {copyTo: {persistentVolumeClaim: {claimName: mine}}}\n")
    )

    ended = refused(place, "run", file)

    assert ended.code == 3
    assert "job hello: spec.output.copyTo.persistentVolumeClaim" in ended.error


def test_two_files_with_one_name_are_a_fault(tmp_path: Path) -> None:
    place = Place(tmp_path)
    first = cli_jobs.write(place, cli_jobs.job("hello"), name="one.yaml")
    second = cli_jobs.write(place, cli_jobs.job("hello"), name="two.yaml")

    ended = run_leasegrid(place, "validate", first, second)

    assert ended.code == 2
    assert f"the Job of {first} has the same name" in ended.error


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["frobnicate"], id="an unknown command"),
        pytest.param(["run"], id="run without a file"),
        pytest.param(["run", "x.yaml", "--timeline", "x.png"], id="a picture of a kind that nobody draws"),
        pytest.param(["run", "x.yaml", "--workers", "0"], id="no workers"),
        pytest.param(["completion", "tcsh"], id="an unknown shell"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_help(arguments: list[str], tmp_path: Path) -> None:
    ended = run_leasegrid(Place(tmp_path), *arguments)

    assert ended.code == 2
    assert "--help" in ended.error


def test_results_of_a_job_that_nobody_keeps_are_a_clear_line(tmp_path: Path) -> None:
    ended = run_leasegrid(Place(tmp_path), "results", "nothing", str(tmp_path / "out"))

    assert ended.code == 4
    assert "no outputs of a job default/nothing" in ended.error


def test_validate_reads_stdin_and_says_what_would_run(tmp_path: Path) -> None:
    document = cli_jobs.job("hello") + "  suspend: true\n---\n" + cli_jobs.POOL
    command = [str(Path(sys.executable).with_name("leasegrid")), "validate", "-"]

    ended = subprocess.run(command, input=document, capture_output=True, text=True, check=False, timeout=60)

    assert ended.stdout.splitlines() == [
        "InstancePool small: 1 member warm",
        "Job hello: main: 3 chunks (suspended: it does not run)",
    ]


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete"), ("zsh", "#compdef"), ("fish", "--command leasegrid")]
)
def test_completion_is_printed(shell: str, word: str, tmp_path: Path) -> None:
    ended = run_leasegrid(Place(tmp_path), "completion", shell)

    assert ended.code == 0
    assert word in ended.out


def test_help_imports_nothing_heavy() -> None:
    heavy = {"pydantic", "yaml", "aiohttp", "cryptography", "rich", "wasmtime", "msgspec", "asyncio"}
    program = f"import sys, leasegrid.cli.group; print(sorted({heavy} & set(sys.modules)))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ended.stdout.strip() == "[]"


def test_the_help_of_every_command_is_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for command in ("run", "validate", "leases", "results", "completion", "version"):
        ended = run_leasegrid(place, command, "--help")
        assert ended.code == 0
        assert ended.out.startswith(f"Usage: leasegrid {command}")
