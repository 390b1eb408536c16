"""The timeline of one job over all its coordinators; an operator goes on with what stands in the job's status."""

from leasegrid.rules.timelines import Points, before, joined


class JobTimeline:
    """`begun` with each coordinator that is ordered, `whole` with each of its words, `over` before its successor.

    `told`: as an earlier operator wrote it down; `began`: when, by it, the present coordinator began, None where that
    one has told nothing; `first`: when the first one began, in seconds of any clock that never steps, None where there
    was none.
    """

    def __init__(self, told: Points = (), began: int | None = None, first: float | None = None) -> None:
        self._told = told
        self._past = before(told, began)
        self._first = first
        self.began = began or 0

    def begun(self, now: float) -> None:
        """A coordinator begins."""
        if self._first is None or not self._told:
            self._first = now
        self.began = round((now - self._first) * 1000)

    def whole(self, points: Points) -> Points:
        """What the present coordinator tells, behind what those before it told."""
        self.began = max(self.began, self._past[-1][0]) if self._past else self.began
        self._told = joined(self._past, self.began, points)
        return self._told

    def over(self) -> None:
        """The next one's stands behind all that was told."""
        self._past = self._told
