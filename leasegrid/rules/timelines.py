"""One timeline of a job that had several coordinators: each tells of its own run, from its own beginning. Pure."""

from tasklet_runner.wire.jobs import TOLD_POINTS

Point = tuple[int, int, int, int]
"""Milliseconds since the first coordinator began, members under lease, chunks running, chunks done."""

Points = tuple[Point, ...]


def joined(past: Points, began: int, points: Points) -> Points:
    """What earlier coordinators told, and behind it what the present one does, which began so many milliseconds later.

    Between the two nothing was under lease. At most TOLD_POINTS, evenly; the first and the last are kept.
    """
    if not past:
        return thinned(points)
    began = max(began, past[-1][0])
    whole = (
        *past,
        (began, 0, 0, past[-1][3]),
        *((began + after, leased, running, done) for after, leased, running, done in points),
    )
    return thinned(whole)


def thinned(points: Points) -> Points:
    """At most TOLD_POINTS of them, evenly; the first and the last are kept."""
    if len(points) <= TOLD_POINTS:
        return points
    step = -(-len(points) // (TOLD_POINTS - 1))
    return (*points[:-1:step], points[-1])


def before(told: Points, began: int | None) -> Points:
    """What earlier coordinators told, of a timeline as it was written down; the present one began so many milliseconds
    after the first, or has told nothing yet (None).
    """
    return told if began is None else tuple(point for point in told if point[0] < began)
