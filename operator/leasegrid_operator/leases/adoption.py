"""What is done about a member that says it is claimed, of a claim that this operator does not know. Pure.

A claim outlives the operator that made it: the member remembers the lease's uid. The lease's object decides: of a
lease that lives the member is adopted, of one that is gone it is released. Nothing is decided by the watch alone,
which may be behind: absence counts only after a live read, and after a while in which the object may yet appear.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from leasegrid.rules.reasons import LeaseReason
from tasklet_runner.wire.member import MemberState, StateReport

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


_ENDS = {"Released": LeaseReason.FINISHED, "LeaseExpired": LeaseReason.EXPIRED}
"""What members say of their last lease, and what that means for the lease."""


def ended_while_away(listed: Mapping[str, int], reports: Mapping[str, StateReport]) -> LeaseReason | None:
    """How a lease ended that nobody kept for a while; None when it lives, or when that is not certain.

    `listed`: its members and their epochs by its status; `reports`: what members say, by name. It has ended when every
    member says that its part in it is over; one that was bound anew has had that word of somebody else since.
    """
    found = [(reports.get(name), epoch) for name, epoch in listed.items()]
    if not found or any(report is None or _serves(report, epoch) for report, epoch in found):
        return None
    words = {report.reason for report, epoch in found if report is not None and report.epoch == epoch}
    return next((reason for word, reason in _ENDS.items() if word in words), None)


def _serves(report: StateReport, epoch: int) -> bool:
    return report.epoch < epoch or (report.epoch == epoch and report.state is MemberState.CLAIMED)
