"""What is done about a member that says it is claimed, of a claim that this operator does not know. Pure.

A claim outlives the operator that made it: the member remembers the lease's uid. The lease's object decides: of a
lease that lives the member is adopted, of one that is gone it is released. Nothing is decided by the watch alone,
which may be behind: absence counts only after a live read, and after a while in which the object may yet appear.
"""

from dataclasses import dataclass
from enum import Enum

STRAY_SECONDS = 5.0
"""As long as a provisional bind lasts: a bind that nobody knows of undoes itself within this."""


class Fate(Enum):
    """What is done about the member."""

    WAIT = "wait"
    ADOPT = "adopt"
    RELEASE = "release"
    LOOK = "look"


@dataclass(frozen=True)
class Stray:
    """A claimed member without a known claim.

    `known`: its lease's object was seen and has not ended; `missing`: members that the lease lacks; `listed`: its
    status names the member; `since`: monotonic, when it was first noticed; `absent`: a live read has shown that there
    is no such lease, or that it has ended.
    """

    known: bool
    missing: int
    listed: bool
    since: float
    absent: bool = False


def fate(stray: Stray, now: float) -> Fate:
    """Adopt what belongs to a living lease; release what belongs to none, when that is certain."""
    if stray.known:
        return Fate.ADOPT if stray.listed or stray.missing > 0 else Fate.RELEASE
    if stray.absent:
        return Fate.RELEASE
    return Fate.LOOK if now - stray.since >= STRAY_SECONDS else Fate.WAIT
