"""The signals that end a run, and what they do before there is an event loop to handle them."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from leasegrid.cli.at_once import end_at_once

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that end a run: Ctrl-C, a request, and a terminal that was closed."""


def heard() -> tuple[signal.Signals, ...]:
    """Those that this process shall obey: under nohup(1) SIGHUP is ignored, and stays so."""
    return tuple(
        number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    )


@contextmanager
def ending_at_once() -> Iterator[None]:
    """A signal that comes within the block ends the process there and then, with the usual words and status.

    For imports, while nothing lives that is to be undone: an exception that is raised among them may be dropped on its
    way (see `raise_what_was_lost`), or be shown as the traceback of a callback that has no caller.
    """
    before = {number: signal.signal(number, end_at_once) for number in heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StoppedError(BaseException):
    """A signal came before there was an event loop to handle it.

    Not an Exception, so that nothing swallows it; not a KeyboardInterrupt either, which click would replace.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.status = 128 + number


_raised: list[int] = []


def raise_on_signals() -> None:
    """Until an event loop takes over, these signals end the command by an exception, and what was begun is undone."""
    _raised.clear()
    shown = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if isinstance(lost.exc_value, StoppedError) else shown(lost)
    for number in heard():
        signal.signal(number, _raise)


def raise_what_was_lost() -> None:
    """Raise again what was raised and went no further; to be called where the event loop takes over.

    The interpreter drops an exception that meets it while it folds constants (make_const in CPython's
    Python/ast_opt.c spares KeyboardInterrupt alone), as it does in every module that is imported without a cached
    compilation; a library's bare `except:` would drop it as well. So does a callback that nobody called, and the
    interpreter would show its traceback there: `raise_on_signals` keeps that quiet, as it is raised again here.
    """
    if _raised:
        raise StoppedError(_raised[0])


@contextmanager
def held_back() -> Iterator[None]:
    """A signal that comes within the block raises at its end, so that what is being made or undone is so as a whole.

    They are not masked instead: a process that is started within the block would inherit the mask.
    """
    received: list[int] = []
    before = {number: signal.signal(number, lambda found, _: received.append(found)) for number in heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        _raise(received[0])


def _raise(number: int, _frame: FrameType | None = None) -> NoReturn:
    _raised.append(number)
    raise StoppedError(number)
