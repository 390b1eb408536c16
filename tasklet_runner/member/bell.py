"""Wakes requests that wait for messages: a push rings for those who wait at its queues."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Bell:
    """For one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, frozenset[str]] = {}

    @contextmanager
    def heard(self, queues: Iterable[str]) -> Iterator[asyncio.Event]:
        """An event that is set at each ring for one of these queues; who waits for it clears it."""
        event = asyncio.Event()
        self._waiting[event] = frozenset(queues)
        try:
            yield event
        finally:
            del self._waiting[event]

    def ring(self, queues: Iterable[str]) -> None:
        """There is something new in these queues."""
        rung = frozenset(queues)
        for event, queues_heard in self._waiting.items():
            if not rung.isdisjoint(queues_heard):
                event.set()

    def ring_all(self) -> None:
        """Nothing more will come: let everybody look again."""
        for event in self._waiting:
            event.set()
