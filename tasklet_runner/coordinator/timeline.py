"""The run's shape over time in bounded room."""

from tasklet_runner.coordinator.progress import MAX_TIMELINE_POINTS, TimelinePoint


class Timeline:
    """Change points, thinned evenly when there are too many: every second one goes, the newest stays."""

    def __init__(self, limit: int = MAX_TIMELINE_POINTS) -> None:
        self._limit = limit
        self._points: list[TimelinePoint] = []

    def note(self, point: TimelinePoint) -> None:
        """Keep the point if it differs from the last one."""
        last = self._points[-1] if self._points else None
        if last is not None and (last.leased, last.running, last.done) == (point.leased, point.running, point.done):
            return
        if len(self._points) >= self._limit:
            self._points = self._points[::2]
        self._points.append(point)

    def points(self) -> tuple[TimelinePoint, ...]:
        """All points, oldest first."""
        return tuple(self._points)
