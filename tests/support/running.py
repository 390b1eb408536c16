"""`leasegrid` as a user starts it: a process of its own with state, runtime and scratch directories of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Place:
    """Where one user lives: directories that nobody else uses, and the environment that names them."""

    root: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for directory in (self.state, self.runtime, self.scratch):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def runtime(self) -> Path:
        return self.root / "run"

    @property
    def scratch(self) -> Path:
        return self.root / "tmp"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_STATE_HOME": str(self.state),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.scratch),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            **self.extra,
        }


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal), what it printed, how long it took in seconds."""

    code: int
    out: str
    error: str
    seconds: float

    def __str__(self) -> str:
        return f"exit {self.code} after {self.seconds:.1f} s\n--- stdout\n{self.out}\n--- stderr\n{self.error}"


class Running:
    """A command that runs. As a context manager it is killed at the end if it still runs."""

    def __init__(self, place: Place, arguments: Sequence[str], *, cwd: Path | None = None) -> None:
        self.place = place
        self._started = time.monotonic()
        self._out = (place.scratch.parent / f"stdout-{time.monotonic_ns()}").open("w+b")
        self._error = (place.scratch.parent / f"stderr-{time.monotonic_ns()}").open("w+b")
        # Files, not pipes: a command that nobody reads must not stop, and members may outlive it.
        self.process = subprocess.Popen(
            arguments,
            cwd=cwd or place.root,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._error,
            start_new_session=True,
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._out.close()
        self._error.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command alone."""
        self.process.send_signal(number)

    def interrupt_group(self) -> None:
        """What a terminal does at Ctrl-C: SIGINT to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def printed(self) -> str:
        """Everything on stdout and stderr so far."""
        return self._text(self._out) + self._text(self._error)

    def wait_for_text(self, text: str, seconds: float = 60) -> None:
        """Return as soon as the command has printed the text; AssertionError when it ends or the time is over."""
        wait_until(
            lambda: text in self.printed() or self.process.poll() is not None, seconds, f"{text!r} to be printed"
        )
        assert text in self.printed(), f"ended without {text!r}:\n{self.printed()}"

    def wait(self, seconds: float = 90) -> Ended:
        """Return when the command has ended; AssertionError with what it printed when it has not by then."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.printed()}") from None
        return Ended(code, self._text(self._out), self._text(self._error), time.monotonic() - self._started)

    @staticmethod
    def _text(file: BinaryIO) -> str:
        size = os.fstat(file.fileno()).st_size
        return os.pread(file.fileno(), size, 0).decode("utf-8", "replace")


def leasegrid(place: Place, *arguments: str, cwd: Path | None = None) -> Running:
    """Start `leasegrid ARGUMENTS`: the command that is installed beside this interpreter."""
    return Running(place, [str(Path(sys.executable).with_name("leasegrid")), *arguments], cwd=cwd)


def run_leasegrid(place: Place, *arguments: str, seconds: float = 90, cwd: Path | None = None) -> Ended:
    """Run `leasegrid ARGUMENTS` to its end."""
    with leasegrid(place, *arguments, cwd=cwd) as running:
        return running.wait(seconds)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll until the condition holds; AssertionError naming `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)
