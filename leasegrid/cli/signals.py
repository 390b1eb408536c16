"""Signals while the event loop runs: the first ends the run in order, the second at once."""

import asyncio
import errno
import os
import signal
import termios
import time
from collections.abc import Callable

from leasegrid.cli import words
from leasegrid.cli.interrupts import heard, raise_what_was_lost

_WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP (the terminal was closed)"}


class Stops:
    """Signals of one run. `received` is the first one, 0 while there was none."""

    def __init__(self, on_first: Callable[[str], None], on_second: Callable[[], None]) -> None:
        self.received = 0
        self._over = False
        self._received_at = 0.0
        self._on_first = on_first
        self._on_second = on_second

    def listen(self) -> None:
        """Handle them in the running event loop from now on. Raises StoppedError when one came before and was lost."""
        loop = asyncio.get_running_loop()
        for number in heard():
            loop.add_signal_handler(number, self._take, number)
        raise_what_was_lost()

    def close(self) -> None:
        """All is over but what is said of it: signals change nothing any more, and the exit status stands.

        Blocked, as a closing event loop gives them their defaults back: they would end the process on its last steps.
        """
        self._over = True
        signal.pthread_sigmask(signal.SIG_BLOCK, heard())

    @property
    def status(self) -> int:
        """The exit status of a run that was stopped; 0 when it was not."""
        return 128 + self.received if self.received else 0

    def farewell(self) -> str:
        """How long it took to end in order."""
        return f"everything is released, {words.duration(time.monotonic() - self._received_at)} after the signal"

    def _take(self, number: int) -> None:
        if self._over:
            return
        if self.received and number == signal.SIGHUP:
            return  # kernel and shell both tell of one terminal that was closed
        if self.received:
            self._on_second()
            # Whatever hangs does not matter any more: the members are gone, and the kernel closes the rest.
            os._exit(128 + number)
        self.received = number
        self._received_at = time.monotonic()
        if number == signal.SIGHUP:
            _leave_dead_terminal()
        self._on_first(_WORDS[signal.Signals(number)])


def _leave_dead_terminal() -> None:
    """What is said from now on goes nowhere, where it would fail: a terminal that was closed takes no more text."""
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
