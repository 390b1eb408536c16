"""What stands on a volume of its lease: `<volume>/lease`, JSON, written whole and synced.

It is what decides when the volume may be deleted, and from it the books can be written anew: a database that was lost,
or is an older one's copy, changes nothing.
"""

import time
from pathlib import Path

import msgspec

from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.volumes import write_durably
from leasegrid.rules.expiry import Moment, Standing
from tasklet_runner.wire.decoding import UNREADABLE

FILE = "lease"
_VERSION = 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class VolumeLease(msgspec.Struct, frozen=True):
    """The file: the lease's row as the books have it, and how long it lasts."""

    row: LeaseRow
    standing: Standing
    version: int = _VERSION


def read_moment() -> Moment:
    """Now, by this machine's clocks. Without a boot id (a kernel that shows none) wall time alone decides."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return Moment(time.time(), boot, time.clock_gettime(time.CLOCK_BOOTTIME))


def write_lease(volume: Path, row: LeaseRow, standing: Standing) -> None:
    """Durable when the call returns. Raises OSError."""
    write_durably(volume / FILE, msgspec.json.encode(VolumeLease(row, standing)))


def read_lease(volume: Path) -> VolumeLease | None:
    """None where there is none. One that cannot be read, or that a later release wrote, is a lease without an end: it
    is for a person to release it.
    """
    path = volume / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=VolumeLease)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE):
        return _unreadable(volume)
    return found if found.version == _VERSION else _unreadable(volume)


def _unreadable(volume: Path) -> VolumeLease:
    row = LeaseRow(
        uid=f"unreadable-{volume.parent.name}-{volume.name}",
        resource=Resource.BLOCK,
        name=volume.name,
        purpose=f"the file {FILE} in it cannot be read",
        acquired=0.0,
    )
    forever = Standing(expires=None, left=0.0, span=0.0, written=Moment(0.0, "", 0.0))
    return VolumeLease(row, forever)
