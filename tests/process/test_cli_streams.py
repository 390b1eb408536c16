"""Callers close streams, stop reading, or write to full disks: a clear status, never a bug, and nothing is left."""

import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import cli_jobs
from tests.support.listing import leftovers
from tests.support.running import Place, wait_until

SIGPIPE_STATUS = 141


def shell(place: Place, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A shell script in which {} is the command: what people do to its streams."""
    command = shlex.join([str(Path(sys.executable).with_name("leasegrid")), *arguments])
    return subprocess.run(
        ["/bin/bash", "-c", script.replace("{}", command)],
        env={**os.environ, **place.environment},
        cwd=place.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "redirection",
    [
        pytest.param("{} >&-", id="stdout closed"),
        pytest.param("{} 2>&-", id="stderr closed"),
        pytest.param("{} <&- >&- 2>&-", id="all three closed"),
    ],
)
def test_closed_streams_do_not_hinder_a_run(redirection: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("hello"))

    ended = shell(place, redirection, "run", file, "--results", str(tmp_path / "out"))

    assert ended.returncode == 0, ended.stderr
    assert sorted(path.read_text() for path in (tmp_path / "out").glob("*/stdout")) == ["hello\n"] * 3
    assert leftovers(place.root, place.runtime, place.scratch).nothing


def test_a_reader_that_has_gone_is_not_told_as_failed_chunks(tmp_path: Path) -> None:
    ended = shell(Place(tmp_path), "{} | true; exit ${PIPESTATUS[0]}", "leases")

    assert ended.returncode == SIGPIPE_STATUS
    assert ended.stderr == ""


def test_an_answer_that_a_full_disk_did_not_take_is_the_surroundings_fault(tmp_path: Path) -> None:
    ended = shell(Place(tmp_path), "{} >/dev/full", "leases")

    assert ended.returncode == 4
    assert ended.stderr == "leasegrid: No space left on device\n"


@pytest.mark.unhappy("a terminal that is closed: the run releases everything, as after SIGTERM")
def test_a_terminal_that_is_closed_ends_its_run_in_order(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("slow", module="slow.wasm", chunks=200))
    pid, terminal = pty.fork()
    if pid == 0:
        # The tests may run under nohup(1), and what is ignored stays so over an exec.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        command = str(Path(sys.executable).with_name("leasegrid"))
        os.execve(command, [command, "run", file], place.environment)  # noqa: S606 - no shell between it and its terminal
    said = b""
    while b"running" not in said:
        said += os.read(terminal, 65536)

    os.close(terminal)
    ended: list[int] = []

    def has_ended() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        ended.extend([os.waitstatus_to_exitcode(status)] if found else [])
        return bool(ended)

    wait_until(has_ended, 30, "the end of the command")
    assert ended == [129]
    assert leftovers(place.root, place.runtime, place.scratch).nothing


def test_a_run_that_was_told_to_ignore_the_terminals_end_goes_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("slow", module="slow.wasm", chunks=4))

    ended = shell(place, "trap '' HUP; {} & sleep 1.5; kill -HUP $!; wait $!", "run", file)

    assert ended.returncode == 0, ended.stderr
    assert "slow: complete" in ended.stdout
