"""One heap of deadlines for all leases: a timer each would not scale, and a sweep would be late."""

import heapq


class DeadlineHeap:
    """The next instant at which some lease ends; entries that were moved since are skipped when they come up."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._current: dict[str, float] = {}

    def set(self, uid: str, deadline: float) -> None:
        """The lease ends then, whatever was said before."""
        self._current[uid] = deadline
        heapq.heappush(self._heap, (deadline, uid))

    def drop(self, uid: str) -> None:
        """The lease has ended otherwise."""
        self._current.pop(uid, None)

    def next(self) -> float | None:
        """The earliest deadline, None when there is none."""
        while self._heap and self._current.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[str]:
        """Leases whose deadline has come, earliest first; they are dropped."""
        found: list[str] = []
        while (deadline := self.next()) is not None and deadline <= now:
            uid = heapq.heappop(self._heap)[1]
            self.drop(uid)
            found.append(uid)
        return found
