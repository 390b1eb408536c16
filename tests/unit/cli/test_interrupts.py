"""A signal before the event loop ends the command, whatever becomes of the exception that it raised."""

import asyncio
import contextlib
import signal
import sys
import weakref
from collections.abc import Iterator

import pytest

from leasegrid.cli.interrupts import SIGNALS, StoppedError, held_back, raise_on_signals
from leasegrid.cli.signals import Stops


@pytest.fixture(autouse=True)
def handlers_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def listening() -> Stops:
    stops = Stops(lambda _: None, lambda: None)
    stops.listen()
    await asyncio.sleep(0)
    return stops


def test_a_signal_whose_exception_was_dropped_is_raised_again_where_the_event_loop_takes_over() -> None:
    raise_on_signals()
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError) as stopped:
        asyncio.run(listening())

    assert stopped.value.status == 128 + signal.SIGTERM


def test_a_signal_that_was_held_back_and_then_dropped_is_raised_again_too() -> None:
    raise_on_signals()
    with contextlib.suppress(BaseException), held_back():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        asyncio.run(listening())


def test_a_signal_that_nobody_could_be_told_of_is_raised_again_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    raise_on_signals()
    for raised in (lambda _: signal.raise_signal(signal.SIGTERM), lambda _: 1 / 0):
        thing = contextlib.ExitStack()
        callback = weakref.ref(thing, raised)
        del thing
        assert callback() is None

    with pytest.raises(StoppedError):
        asyncio.run(listening())
    assert len(shown) == 1, "the division"


def test_a_command_without_a_signal_before_its_loop_runs() -> None:
    raise_on_signals()

    assert asyncio.run(listening()).received == 0
