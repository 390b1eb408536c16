"""The state directory: what outlives a run on one machine.

`$XDG_STATE_HOME/leasegrid` (default `~/.local/state/leasegrid`, XDG Base Directory Specification 0.8), mode 0700, with
`key` (the fabric's pair), `jobs/<namespace>/<name>/`, `caches/<name>/` and `stores/<random>/` (volumes), `leases.db`
(the books). What the books say of a volume is what stands on it: they are written anew from there.
"""

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.leasing.parts import Disposal
from leasegrid.local.books import LeaseBooks, LeaseRow, Resource
from leasegrid.local.keys import fabric_key
from leasegrid.local.lasting import expires_at, is_over, lasts, restore, standing_of
from leasegrid.local.standing import read_lease, read_moment, write_lease
from leasegrid.local.volumes import (
    LOCK,
    Volume,
    byte_count,
    component,
    evict,
    hold_volume,
    new_volume,
    serving_process,
    translated,
    try_hold,
)
from leasegrid.rules.expiry import Moment, Standing, continued, standing
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.errors import StateDirectoryError

STORES = "stores/"
"""Where the volumes of Block members are, beside those of jobs and caches."""


class KeptLease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that has not ended. Sizes in bytes, times in UNIX seconds; `process`: the run that uses it, or 0.
    `directory`: where its bytes are, relative to the state directory (several with spaces between); empty for members.

    `expires` None: kept until its job is run again and finishes.
    """

    uid: str
    resource: Resource
    namespace: str
    name: str
    holder: str
    purpose: str
    members: tuple[str, ...]
    volume_bytes: int
    acquired: float
    expires: float | None
    process: int = 0
    directory: str = ""


class StateDirectory:
    """One user's state on this machine. Everything may raise StateDirectoryError with a remedy."""

    def __init__(self, root: Path, clock: Callable[[], Moment] = read_moment) -> None:
        self.root = root
        self.now = clock
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateDirectoryError(
                f"the state directory {root} cannot be made: {error.strerror}",
                remedy="check its rights, or set XDG_STATE_HOME to another directory",
            ) from error

    @classmethod
    def default(cls, environment: Mapping[str, str] = os.environ) -> "StateDirectory":
        """The user's own. A relative XDG_STATE_HOME is ignored, as its specification says."""
        named = Path(environment.get("XDG_STATE_HOME", ""))
        base = named if named.is_absolute() else Path.home() / ".local" / "state"
        return cls(base / "leasegrid")

    @cached_property
    def key(self) -> Ed25519PrivateKey:
        """The fabric's private key; made at the first use."""
        return fabric_key(self.root / "key")

    @cached_property
    def books(self) -> LeaseBooks:
        """The table of leases."""
        books = LeaseBooks(self.root / "leases.db")
        restore(books, self.root, self._locks())
        return books

    def hold_job(self, namespace: str, name: str) -> Volume:
        """The job's volume for this run alone, its term raised."""
        return hold_volume(self.job_path(namespace, name), f"the job {namespace}/{name}")

    def job_path(self, namespace: str, name: str) -> Path:
        """Where the job's volume is; it may not be there yet."""
        return self.root / "jobs" / component(namespace, "namespace") / component(name, "job")

    def hold_cache(self, name: str) -> Volume:
        """The cache's volume for this run alone."""
        return hold_volume(self.root / "caches" / component(name, "cache"), f"the cache {name}")

    def make_store(self) -> Volume:
        """A new volume for a Block member, for this run alone."""
        return new_volume(self.root / "stores" / new_uid())

    def hold_stores(self, row: LeaseRow) -> list[Volume]:
        """The volumes of a Block lease of an earlier run, for this run alone.

        Raises StateDirectoryError when another run has them.
        """
        found = [self.root / directory for directory in row.directories]
        held: list[Volume] = []
        try:
            for path in found:
                if path.exists():
                    held.append(hold_volume(path, f"the Block lease {row.namespace}/{row.name}"))
        except BaseException:
            for volume in held:
                volume.release()
            raise
        return held

    def row_of(self, volume: Volume) -> LeaseRow | None:
        """The live Block lease of a volume."""
        return self.books.at(self.relative(volume.path))

    def enter(self, volume: Volume, row: LeaseRow) -> LeaseRow:
        """Write down the Block lease of a volume that nobody renews; returns the row as written."""
        return self.enter_all([volume], row, 0.0)

    def enter_all(self, volumes: Sequence[Volume], row: LeaseRow, ttl: float) -> LeaseRow:
        """Write down the Block lease of volumes, on each of them and in the books; a renewal gives it `ttl` seconds."""
        directory = " ".join(self.relative(volume.path) for volume in volumes)
        entered = msgspec.structs.replace(row, resource=Resource.BLOCK, directory=directory)
        self._write(volumes, entered, standing(row.expires, ttl, self.now()))
        return entered

    def delete(self, volume: Volume, reason: str) -> Receipt:
        """Delete a volume at once, and write its lease's receipt. Its lock is released."""
        row = self.row_of(volume)
        started = time.monotonic()
        if row is not None:
            # A command that dies half-way through leaves a lease that is over, and not one without an end: in the
            # books too, for what stands on the volume may go first. A full disk must not keep it from being deleted.
            now = self.now()
            with suppress(StateDirectoryError):
                self._write([volume], msgspec.structs.replace(row, expires=now.wall), standing(now.wall, 0.0, now))
        freed = volume.delete()
        return self._ended(row, reason, Disposal(1, freed), started)

    def delete_lease(self, lease: KeptLease, reason: str) -> Receipt:
        """Delete the volumes of a lease, and write its receipt. What serves them yet for a run that is dead is ended.

        Raises StateDirectoryError when a run has it.
        """
        (row,) = [one for one in self.books.live() if one.uid == lease.uid]
        started = time.monotonic()
        volumes = self.hold_stores(row)
        try:
            for volume in volumes:
                evict(volume)
            freed = sum(volume.delete() for volume in volumes)
        finally:
            for volume in volumes:
                volume.release()
        return self._ended(row, reason, Disposal(len(volumes), freed), started)

    def kept_store(self, namespace: str, name: str) -> LeaseRow | None:
        """The Block lease of that name which an earlier run has left, and which has not expired."""
        now = self.now()
        for row in self.books.live():
            is_store = row.directory.startswith(STORES)
            if is_store and (row.namespace, row.name) == (namespace, name) and not is_over(self.root, row, now):
                return row
        return None

    def kept(self) -> list[KeptLease]:
        """Every lease that has not ended, oldest first, with what it holds and until when."""
        now = self.now()
        return [self._kept(row, now) for row in self.books.live() if lasts(self.root, row, now)]

    def expired(self) -> list[KeptLease]:
        """Every lease that `reap` would end now, were nobody to use it, oldest first."""
        now = self.now()
        return [self._kept(row, now) for row in self.books.live() if is_over(self.root, row, now)]

    def strays(self) -> list[Path]:
        """Volumes that no lease in the books has, whether they are in use or not."""
        known = {directory for row in self.books.live() for directory in row.directories}
        return [lock.parent for lock in self._locks() if self.relative(lock.parent) not in known]

    def reap(self) -> list[Receipt]:
        """End what has expired: volumes are deleted, unless a process serves them. Returns the receipts."""
        now = self.now()
        restore(self.books, self.root, self._locks())
        receipts = [receipt for row in self.books.live() if (receipt := self._reap(row, now)) is not None]
        self._reap_strays()
        self.books.forget(now.wall)
        return receipts

    def close(self) -> None:
        """Close the books; a second call does nothing."""
        if "books" in self.__dict__:
            self.books.close()

    def _write(self, volumes: Sequence[Volume], row: LeaseRow, until: Standing) -> None:
        """The volumes first: from them the books can be written, and not the other way about."""
        for volume in volumes:
            with translated("the lease of a volume", volume.path):
                write_lease(volume.path, row, until)
        self.books.write(row)

    def _kept(self, row: LeaseRow, now: Moment) -> KeptLease:
        paths = [self.root / directory for directory in row.directories]
        return KeptLease(
            uid=row.uid,
            resource=row.resource,
            namespace=row.namespace,
            name=row.name,
            holder=row.holder,
            purpose=row.purpose,
            members=row.members,
            volume_bytes=sum(byte_count(path) for path in paths),
            acquired=row.acquired,
            expires=expires_at(self.root, row, now),
            process=max((serving_process(path) for path in paths), default=0),
            directory=row.directory,
        )

    def _reap(self, row: LeaseRow, now: Moment) -> Receipt | None:
        if not row.directory:
            return self._ended(row, "Expired", Disposal(), time.monotonic()) if is_over(self.root, row, now) else None
        paths = [path for directory in row.directories if (path := self.root / directory).exists()]
        if not paths:
            return self._ended(row, "Deleted", Disposal(), time.monotonic())
        known = standing_of(self.root, row, now)
        if continued(known, now) is known:
            return None
        with ExitStack() as held:
            volumes = [volume for path in paths if (volume := try_hold(path)) is not None]
            for volume in volumes:
                held.callback(volume.release)
            return self._judge(row, volumes, now) if len(volumes) == len(paths) else None

    def _judge(self, row: LeaseRow, volumes: Sequence[Volume], now: Moment) -> Receipt | None:
        """Now that nobody else writes what stands on its volumes: the lease goes on, or ends."""
        if any((lease := read_lease(volume.path)) and lease.row.uid != row.uid for volume in volumes):
            return None
        known = standing_of(self.root, row, now)
        lasting = continued(known, now)
        if lasting is None:
            started = time.monotonic()
            freed = sum(volume.delete() for volume in volumes)
            return self._ended(row, "Expired", Disposal(len(volumes), freed), started)
        if lasting is not known:
            self._write(volumes, msgspec.structs.replace(row, expires=lasting.expires), lasting)
        return None

    def _reap_strays(self) -> None:
        """Volumes without a row: their maker died before it wrote one, or after it had ended one."""
        for path in self.strays():
            volume = try_hold(path)
            # The row may have been written between our look at the books and our lock.
            if volume is not None and not self._has_row(volume):
                volume.delete()
            elif volume is not None:
                volume.release()

    def _has_row(self, volume: Volume) -> bool:
        mine = self.relative(volume.path)
        return any(mine in row.directories for row in self.books.live())

    def _locks(self) -> list[Path]:
        """The locks of all volumes, whether the books know them or not."""
        places = ("jobs/*/*", "caches/*", f"{STORES}*")
        return [lock for place in places for lock in self.root.glob(f"{place}/{LOCK}")]

    def _ended(self, row: LeaseRow | None, reason: str, disposal: Disposal, started: float) -> Receipt:
        now = time.time()
        receipt = Receipt(
            lease_uid=row.uid if row else "",
            reason=reason,
            members=row.members if row else (),
            volumes=disposal.volumes,
            volume_bytes=disposal.volume_bytes,
            held_milliseconds=max(0, round((now - row.acquired) * 1000)) if row else 0,
            released_in_milliseconds=round((time.monotonic() - started) * 1000),
        )
        if row is not None:
            self.books.end(row.uid, now, receipt)
        return receipt

    def relative(self, path: Path) -> str:
        """Where a volume is, as the books say it."""
        return path.relative_to(self.root).as_posix()


def new_uid() -> str:
    """A lease's uid: random, as Kubernetes' are."""
    return str(uuid.uuid4())
