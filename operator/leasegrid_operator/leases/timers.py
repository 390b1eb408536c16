"""Things to do at an instant: one heap for all of a namespace, as a timer each would not scale."""

import heapq
from collections.abc import Callable


class Timers:
    """Instants are of the caller's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, instant: float, what: Callable[[], None]) -> None:
        """Do it then, or soon after."""
        self._number += 1
        heapq.heappush(self._heap, (instant, self._number, what))

    def run(self, now: float) -> None:
        """Do what is due."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()
