"""The timeline of one job over all its coordinators, as this operator has heard of them."""

from leasegrid.rules.timelines import Points, joined


class JobTimeline:
    """`began` with each coordinator that is ordered, `over` with the last word of one that is to have a successor."""

    def __init__(self) -> None:
        self._past: Points = ()
        self._first: float | None = None
        self._began = 0

    def began(self, now: float) -> None:
        """A coordinator begins. `now`: seconds of any clock that never steps."""
        self._first = now if self._first is None else self._first
        self._began = round((now - self._first) * 1000)

    def whole(self, points: Points) -> Points:
        """What the present coordinator tells, behind what those before it told."""
        return joined(self._past, self._began, points)

    def over(self, points: Points) -> None:
        """The next one's stands behind these."""
        self._past = points
