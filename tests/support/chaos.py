"""A killer: every so often it kills one random process of a set, and keeps a record of what it killed."""

import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import psutil

from tests.support.background import Background


@dataclass(frozen=True)
class Killed:
    """One kill: seconds since the start, process id, command line."""

    seconds: float
    pid: int
    command: str


class Chaos(Background):
    """Kills while the `with` block runs: at most `bound` processes, one every `interval` seconds, by a seed.

    `candidates` is asked anew before each kill (for example `lambda: members_of(place.root)`). `killed` is the record.
    An error of `candidates` ends the killing and is raised at the block's end.
    """

    def __init__(
        self,
        candidates: Callable[[], Sequence[psutil.Process]],
        *,
        interval: float = 1.0,
        bound: int = 100,
        seed: int = 0,
        number: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.killed: list[Killed] = []
        self._candidates = candidates
        self._interval = interval
        self._bound = bound
        self._random = random.Random(seed)
        self._signal = number
        super().__init__(self._kill_until_stopped, "chaos")

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return super().__enter__()

    def _kill_until_stopped(self, stop: threading.Event) -> None:
        while len(self.killed) < self._bound and not stop.wait(self._interval):
            # Sorted, so that a seed means the same choice however processes are listed.
            candidates = sorted(self._candidates(), key=lambda process: process.pid)
            if candidates:
                self._kill(self._random.choice(candidates))

    def _kill(self, process: psutil.Process) -> None:
        try:
            command = " ".join(process.cmdline())
            process.send_signal(self._signal)
        except psutil.NoSuchProcess:
            return
        self.killed.append(Killed(time.monotonic() - self._started, process.pid, command))
