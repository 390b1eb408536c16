"""Ctrl-C, SIGTERM and SIGKILL in every phase of a run: nothing of it is left but what the state directory keeps."""

import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process import cli_jobs
from tests.support.listing import leftovers
from tests.support.running import Place, Running, leasegrid, run_leasegrid, wait_until

TTL_SECONDS = 4

SLOW = cli_jobs.job("slow", "  lease: {ttlSeconds: 4}\n", module="slow.wasm", chunks=200)
STARVED = cli_jobs.job("starved", "  lease: {poolRefs: [{name: small}]}\n")


@dataclass(frozen=True)
class Phase:
    """A phase of a run: the file that leads there, and how to tell from outside that it has been reached."""

    documents: tuple[str, ...]
    reached: Callable[[Place, Running], None]


def said(text: str) -> Callable[[Place, Running], None]:
    return lambda _place, running: running.wait_for_text(text)


def has_runtime_directory(place: Place, running: Running) -> None:
    wait_until(lambda: cli_jobs.runtime_directories(place, running), 30, "the runtime directory")


def chunks_done(_place: Place, running: Running) -> None:
    """Two workers, one second a chunk: after this some are done and some are running."""
    running.wait_for_text("running")
    time.sleep(1.5)


PHASES = {
    "while the zygote starts": Phase((SLOW,), has_runtime_directory),
    "while the input is prepared": Phase((SLOW,), said("preparing")),
    "while chunks run": Phase((SLOW,), chunks_done),
    "while a job waits for capacity": Phase((cli_jobs.POOL, cli_jobs.LEASE, STARVED), said("waiting for capacity")),
    "while a lease is held": Phase((cli_jobs.POOL, cli_jobs.LEASE), said("held until Ctrl-C")),
    "while a pool is kept warm": Phase((cli_jobs.POOL,), said("kept warm until Ctrl-C")),
}


def nothing_is_left(place: Place, directories: list[Path]) -> bool:
    """No process, no socket, no runtime or scratch directory of the run."""
    return leftovers(place.root, place.runtime, place.scratch).nothing and not any(
        path.exists() for path in directories
    )


@pytest.mark.unhappy("Ctrl-C and SIGTERM in every phase: no process, socket or scratch directory left")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
def test_a_signal_releases_everything(phase: Phase, number: signal.Signals, code: int, tmp_path: Path) -> None:
    place = Place(tmp_path)
    with leasegrid(place, "run", cli_jobs.write(place, *phase.documents)) as running:
        phase.reached(place, running)
        directories = cli_jobs.runtime_directories(place, running)
        running.send(number)
        ended = running.wait(30)

    assert ended.code == code, str(ended)
    assert "Traceback" not in ended.error, str(ended)
    assert nothing_is_left(place, directories), str(ended)


INTERRUPTED = """
import os, sys
module, number = sys.argv.pop(1), int(sys.argv.pop(1))
def look(event, arguments):
    global number
    if event == "import" and arguments[0] == module and number:
        number, due = 0, number
        os.kill(os.getpid(), due)
sys.addaudithook(look)
from leasegrid.cli.main import main
main()
"""
"""`leasegrid`, which gets a signal as it begins to import a module."""

EARLY = ["leasegrid.cli.interrupts", "click", "leasegrid.cli.commands", "leasegrid.cli.running", "pydantic"]


@pytest.mark.unhappy("Ctrl-C and SIGTERM before a run has begun: it ends with a line and its status")
@pytest.mark.parametrize(
    ("module", "number", "code"),
    [
        *(pytest.param(module, signal.SIGINT, 130, id=f"Ctrl-C as {module} is imported") for module in EARLY),
        pytest.param("leasegrid.cli.early", signal.SIGINT, 130, id="Ctrl-C before the zygote is started"),
        pytest.param("leasegrid.cli.sessions", signal.SIGINT, 130, id="Ctrl-C while the zygote starts"),
        pytest.param("click", signal.SIGTERM, 143, id="SIGTERM as click is imported"),
    ],
)
def test_a_command_that_is_stopped_while_it_starts_says_so_in_a_line(
    module: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    command = [sys.executable, "-c", INTERRUPTED, module, str(int(number)), "run", cli_jobs.write(place, SLOW)]
    with Running(place, command) as running:
        ended = running.wait(30)

    assert (ended.code, ended.out) == (code, ""), str(ended)
    assert ended.error == "leasegrid: stopped before anything ran; nothing is left\n"
    assert nothing_is_left(place, [])


@pytest.mark.smoke
@pytest.mark.unhappy("Ctrl-C says what was kept, and the next run goes on from there")
def test_what_was_done_before_ctrl_c_is_kept_listed_and_not_done_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("slow", module="slow.wasm", chunks=6))
    with leasegrid(place, "run", file, "--workers", "2") as running:
        chunks_done(place, running)
        running.interrupt_group()
        stopped = running.wait(30)
    (held,) = json.loads(run_leasegrid(place, "leases", "--json").out)["leases"]

    resumed = run_leasegrid(place, "run", file, "--workers", "2", "--json", "--results", str(tmp_path / "out"))

    assert "kept: " in stopped.out, str(stopped)
    assert "everything is released" in stopped.error
    assert 0 < held["chunks"] < 6
    assert held["expires"] is None
    (job,) = json.loads(resumed.out)["jobs"]
    assert job["chunks"]["succeeded"] == 6
    assert job["receipt"]["tasklets"] == 6 - held["chunks"]
    assert len(list((tmp_path / "out").glob("*/stdout"))) == 6


@pytest.mark.unhappy("Ctrl-C twice: ends at once, and nothing is left either")
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with leasegrid(place, "run", cli_jobs.write(place, SLOW)) as running:
        chunks_done(place, running)
        directories = cli_jobs.runtime_directories(place, running)
        running.send(signal.SIGTERM)
        running.send(signal.SIGINT)
        ended = running.wait(30)

    assert ended.code in {130, 143}, str(ended)
    assert nothing_is_left(place, directories), str(ended)


@pytest.mark.unhappy("SIGKILL of the CLI: no process, socket or scratch directory left by TTL + 1 s")
@pytest.mark.parametrize("phase", ["while the zygote starts", "while chunks run", "while a pool is kept warm"])
def test_after_sigkill_nothing_is_left_by_ttl_and_a_second(phase: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    with leasegrid(place, "run", cli_jobs.write(place, *PHASES[phase].documents)) as running:
        PHASES[phase].reached(place, running)
        directories = cli_jobs.runtime_directories(place, running)
        running.send(signal.SIGKILL)
        running.wait(10)
        killed = time.monotonic()
        wait_until(lambda: nothing_is_left(place, directories), 60, "everything to be gone")

    # A second for the members as promised, and some for the listing on a busy machine.
    assert time.monotonic() - killed < TTL_SECONDS + 1 + 5


@pytest.mark.unhappy("SIGTERM and Ctrl-C while a run that is over says so and exits: its status stands")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_after_the_end_changes_nothing(number: signal.Signals, tmp_path: Path) -> None:
    place = Place(tmp_path)
    with leasegrid(place, "run", cli_jobs.write(place, cli_jobs.job("hello")), "--json") as running:
        running.wait_for_text('"receipt"')
        running.send(number)
        ended = running.wait(30)

    assert ended.code == 0, str(ended)
    assert "releasing everything" not in ended.error, str(ended)
    assert nothing_is_left(place, []), str(ended)
