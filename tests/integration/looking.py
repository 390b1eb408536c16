"""Waiting for what is to come true in another process, and saying what was there instead."""

import time
from collections.abc import Callable
from typing import TypeVar

WAIT_SECONDS = 90.0
PAUSE_SECONDS = 0.05

Seen = TypeVar("Seen")


def wait(
    look: Callable[[], Seen], holds: Callable[[Seen], object], what: str, said: Callable[[], str] = lambda: ""
) -> Seen:
    """Look again and again until what is seen holds; returns it. A server that is away shows nothing.

    Raises AssertionError with what was seen last, and what `said` gives.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    last: object = None
    while time.monotonic() < deadline:
        try:
            seen = look()
        except OSError as away:
            last = away
        else:
            if holds(seen):
                return seen
            last = seen
        time.sleep(PAUSE_SECONDS)
    raise AssertionError(f"in {WAIT_SECONDS:.0f} s it did not happen: {what}; what was there: {last!r}\n{said()}")
