"""How long the leases in the books last, by what stands on their volumes; and the books, written anew from there."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from leasegrid.local.books import LeaseBooks, LeaseRow
from leasegrid.local.standing import read_lease
from leasegrid.rules.expiry import Moment, Standing, continued, seconds_left, standing

LATE_SECONDS = 5.0
"""A CPU lease of another run is ended in the books so long after its deadline: its members have freed themselves."""


def restore(books: LeaseBooks, root: Path, locks: Iterable[Path]) -> None:
    """The books say what stands on the volumes, whose `locks` these are: also when they were lost, or are an old copy.

    Raises StateDirectoryError.
    """
    known = {row.uid: row for row in books.live()}
    found: dict[str, LeaseRow] = {}
    for lock in locks:
        lease = read_lease(lock.parent)
        if lease is not None:
            others = f"{found[lease.row.uid].directory} " if lease.row.uid in found else ""
            directory = others + lock.parent.relative_to(root).as_posix()
            found[lease.row.uid] = msgspec.structs.replace(lease.row, directory=directory)
    for uid, row in found.items():
        before = known.get(uid)
        if before is None or set(before.directories) != set(row.directories) or before.expires != row.expires:
            books.restore(row)


def standing_of(root: Path, row: LeaseRow, now: Moment) -> Standing:
    """As it stands on the volumes of a lease; of several the one that lasts longest."""
    leases = [read_lease(root / directory) for directory in row.directories]
    mine = [lease.standing for lease in leases if lease is not None and lease.row.uid == row.uid]
    if not mine:
        return standing(row.expires, 0.0, now)
    return max(mine, key=lambda one: float("inf") if one.expires is None else seconds_left(one, now))


def is_over(root: Path, row: LeaseRow, now: Moment) -> bool:
    """True when nothing but its use stands in the way of a lease's end: its time, or that its bytes are gone."""
    if not row.directory:
        return row.expires is not None and now.wall >= row.expires + LATE_SECONDS
    gone = not any((root / directory).exists() for directory in row.directories)
    return gone or continued(standing_of(root, row, now), now) is None


def lasts(root: Path, row: LeaseRow, now: Moment) -> bool:
    """True until its time is over."""
    if not row.directory:
        return row.expires is None or row.expires > now.wall
    return continued(standing_of(root, row, now), now) is not None


def expires_at(root: Path, row: LeaseRow, now: Moment) -> float | None:
    """UNIX seconds by the clock as it is now; None: it does not expire."""
    if not row.directory:
        return row.expires
    known = standing_of(root, row, now)
    lasting = continued(known, now) or known
    return None if lasting.expires is None else now.wall + seconds_left(lasting, now)
