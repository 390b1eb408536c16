"""The fault harness itself: it kills what it should, sees what is left, and waits no longer than it says."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.support.chaos import Chaos
from tests.support.listing import leftovers, processes_of
from tests.support.running import Place, Running, wait_until

_SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def test_chaos_kills_within_its_bound_by_a_seed_and_keeps_a_record(tmp_path: Path) -> None:
    victims = [subprocess.Popen([*_SLEEPER, str(tmp_path)], stdout=subprocess.DEVNULL) for _ in range(3)]
    try:
        with Chaos(lambda: processes_of(tmp_path), interval=0.05, bound=2, seed=7) as chaos:
            wait_until(lambda: len(chaos.killed) == 2, 20, "two kills")
        dead = {victim.pid for victim in victims if victim.poll() is not None or victim.pid in _pids(chaos)}
        assert len(dead) == 2
        assert dead == _pids(chaos)
        assert all("time.sleep" in killed.command for killed in chaos.killed)
    finally:
        for victim in victims:
            victim.kill()
            victim.wait()


def _pids(chaos: Chaos) -> set[int]:
    return {killed.pid for killed in chaos.killed}


def test_a_failure_of_the_killer_is_raised_at_the_blocks_end() -> None:
    asked = threading.Event()

    def broken() -> list[psutil.Process]:
        asked.set()
        raise LookupError("no such set")

    with pytest.raises(LookupError, match="no such set"), Chaos(broken, interval=0.001):
        assert asked.wait(20)


def test_the_listing_sees_processes_sockets_and_directories_and_then_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert leftovers(tmp_path, place.runtime, place.scratch).nothing
    with Running(place, _SLEEPER) as running, socket.socket(socket.AF_UNIX) as listener:
        running.wait_for_text("up")
        listener.bind(str(place.runtime / "m.sock"))
        listener.listen()
        left = leftovers(tmp_path, place.runtime, place.scratch)
        assert [line.split(":")[0] for line in left.processes] == [str(running.pid)]
        assert left.sockets == (str(place.runtime / "m.sock"),)
        assert left.directories == (str(place.runtime / "m.sock"),)
    (place.runtime / "m.sock").unlink()
    assert leftovers(tmp_path, place.runtime, place.scratch).nothing


def test_a_command_gets_signals_and_its_end_is_reported(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('error', file=sys.stderr); sys.exit(3)"
    with Running(Place(tmp_path), [sys.executable, "-c", code]) as running:
        ended = running.wait(30)
    assert (ended.code, ended.out, ended.error) == (3, "out\n", "error\n")
    with Running(Place(tmp_path), _SLEEPER) as running:
        running.wait_for_text("up")
        running.send(signal.SIGTERM)
        assert running.wait(30).code == -signal.SIGTERM


def test_waiting_is_bounded_and_says_for_what(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="for the sky to fall"):
        wait_until(lambda: False, 0.05, "the sky to fall")
    with Running(Place(tmp_path), _SLEEPER) as running, pytest.raises(AssertionError, match="still running after"):
        running.wait(0.1)
