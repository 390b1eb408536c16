"""Runs a function again and again, each time in a new process that obeys a `Control`, for the price of a fork.

A process that has imported everything waits for orders; each order is one child. `target` is "module:function"; the
function gets the order's words, prints what it acknowledges to stdout (`say`), and its exit says how it ended.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tasklet_runner.wire.errors import LeaseGridError
from tests.support.faults.control import Control
from tests.support.running import REPOSITORY

CHILD_SECONDS = 60
DONE, CRASHED, REFUSED = 0, 1, 3


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code or, negative, its signal; the lines that it said; what it complained of."""

    code: int
    said: tuple[str, ...]
    complaint: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def refused(self) -> bool:
        """A typed error of the project ended it."""
        return self.code == REFUSED


def say(line: str) -> None:
    """Acknowledge something: in one write, and at once."""
    os.write(1, f"{line}\n".encode())


class Nursery:
    """A context manager; for one caller."""

    def __init__(self, control: Control, target: str) -> None:
        self._control = control
        self._target = target
        self._output = Path(tempfile.mkdtemp(prefix="nursery-"))

    def __enter__(self) -> Self:
        environment = {**os.environ, **self._control.environment, "PYTHONPATH": str(REPOSITORY)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.faults.nursery", self._target],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=REPOSITORY,
        )  # fmt: skip
        return self

    def run(self, **words: object) -> Ended:
        """One child, to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said, complaint = self._output / "said", self._output / "complaint"
        order = {"words": words, "said": str(said), "complaint": str(complaint)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the nursery of {self._target} died"
        return Ended(int(answer), tuple(said.read_text().splitlines()), complaint.read_text())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(CHILD_SECONDS)
        self._process.stdout.close()
        for path in self._output.iterdir():
            path.unlink()
        self._output.rmdir()


def _child(target: Callable[..., None], order: dict[str, object]) -> int:
    for descriptor, name in ((1, "said"), (2, "complaint")):
        opened = os.open(str(order[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
    signal.alarm(CHILD_SECONDS)
    try:
        target(**order["words"])  # type: ignore[arg-type]  # what the caller of `run` gave
    except LeaseGridError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return REFUSED
    except BaseException:  # noqa: BLE001  # the edge of a process: told whole, and seen by its exit code
        traceback.print_exc()
        return CRASHED
    finally:
        sys.stderr.flush()
    return DONE


def main(target: str) -> None:
    """Fork a child per line of stdin, answer with its status."""
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    answers = os.dup(1)  # What goes to stdout itself is what a child says.
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os._exit(_child(function, json.loads(line)))
        _, status = os.waitpid(pid, 0)
        os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1])
