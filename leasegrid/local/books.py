"""The fabric's books: one row per lease, in `leases.db` of the state directory.

SQLite in WAL mode with `synchronous=NORMAL`: several commands may write at once, a crash of the process loses
nothing, a power cut at most the last rows; Block leases, which must survive one, are written with FULL.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import msgspec

from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.store.transactions import transaction, write_ahead
from tasklet_runner.wire.errors import StateDirectoryError

RECEIPTS_KEPT_SECONDS = 86400.0
"""An ended lease's row, with its receipt, stays so long."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS leases (
    uid TEXT PRIMARY KEY, resource TEXT NOT NULL, name TEXT NOT NULL, namespace TEXT NOT NULL, holder TEXT NOT NULL,
    purpose TEXT NOT NULL, pool TEXT NOT NULL, members TEXT NOT NULL, directory TEXT NOT NULL, acquired REAL NOT NULL,
    expires REAL, ended REAL, receipt BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS leases_by_directory ON leases (directory) WHERE ended IS NULL;
"""
_COLUMNS = "uid, resource, name, namespace, holder, purpose, pool, members, directory, acquired, expires"
_MARKS = ", ".join("?" for _ in _COLUMNS.split(", "))
_RESTORED = ", ".join(f"excluded.{column}" for column in _COLUMNS.split(", "))


class Resource(StrEnum):
    """What a lease is of."""

    CPU = "CPU"
    MEMORY = "Memory"
    BLOCK = "Block"


class LeaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lease in the books. Times are UNIX seconds; `expires` None: not before its job is finished.

    `directory`: where a Block lease's bytes are, relative to the state directory; of several volumes with spaces
    between them, which no name of a volume has.
    """

    uid: str
    resource: Resource
    name: str
    acquired: float
    namespace: str = "default"
    holder: str = ""
    purpose: str = ""
    pool: str = ""
    members: tuple[str, ...] = ()
    directory: str = ""
    expires: float | None = None

    @property
    def directories(self) -> tuple[str, ...]:
        """Where the bytes are, volume by volume."""
        return tuple(self.directory.split())


class LeaseBooks:
    """The table. Calls are short and blocking (some 0.1 ms); every one may raise StateDirectoryError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translated():
            self._connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
            write_ahead(self._connection)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._prepare()

    def write(self, row: LeaseRow) -> None:
        """Insert the row, or replace the one of the same lease."""
        with self._translated(), self._durable(row.resource is Resource.BLOCK):
            self._connection.execute(
                f"INSERT OR REPLACE INTO leases ({_COLUMNS}) VALUES ({_MARKS})",  # noqa: S608 - names are constants
                _values(row),
            )

    def restore(self, row: LeaseRow) -> None:
        """The lease as it stands on its volume, unless it is known to have ended; no other has the volume."""
        with self._translated(), transaction(self._connection):
            self._connection.execute(
                "DELETE FROM leases WHERE ended IS NULL AND directory = ? AND uid != ?", (row.directory, row.uid)
            )
            self._connection.execute(
                f"INSERT INTO leases ({_COLUMNS}) VALUES ({_MARKS}) "  # noqa: S608 - names are constants
                f"ON CONFLICT (uid) DO UPDATE SET ({_COLUMNS}) = ({_RESTORED}) WHERE ended IS NULL",
                _values(row),
            )

    def end(self, uid: str, now: float, receipt: Receipt) -> None:
        """The lease is over; its receipt stays for a day."""
        with self._translated():
            self._connection.execute(
                "UPDATE leases SET ended = ?, receipt = ? WHERE uid = ? AND ended IS NULL",
                (now, msgspec.json.encode(receipt), uid),
            )

    def receipt(self, uid: str) -> Receipt | None:
        """The receipt of an ended lease, while it is kept."""
        with self._translated():
            row = self._connection.execute("SELECT receipt FROM leases WHERE uid = ?", (uid,)).fetchone()
        return msgspec.json.decode(row[0], type=Receipt) if row and row[0] else None

    def live(self) -> list[LeaseRow]:
        """Leases that have not ended, oldest first."""
        return self._rows("ended IS NULL", ())

    def at(self, directory: str) -> LeaseRow | None:
        """The live lease whose bytes are in this directory."""
        return next(iter(self._rows("directory = ? AND ended IS NULL", (directory,))), None)

    def forget(self, now: float) -> None:
        """Drop the rows of leases that ended long ago."""
        with self._translated():
            self._connection.execute("DELETE FROM leases WHERE ended < ?", (now - RECEIPTS_KEPT_SECONDS,))

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        self._connection.close()

    def _rows(self, condition: str, values: tuple[str, ...]) -> list[LeaseRow]:
        query = f"SELECT {_COLUMNS} FROM leases WHERE {condition} ORDER BY acquired, uid"  # noqa: S608 - constants
        with self._translated():
            return [_row(found) for found in self._connection.execute(query, values).fetchall()]

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StateDirectoryError(
                f"{self._path} was written by a newer leasegrid (format {version})",
                remedy="use that version, or another state directory: set XDG_STATE_HOME",
            )
        if version < _VERSION:
            self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    @contextmanager
    def _durable(self, wanted: bool) -> Iterator[None]:
        if not wanted:
            yield
            return
        self._connection.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StateDirectoryError(
                f"the books {self._path} cannot be used: {error}",
                remedy="check rights and free space; if it is damaged, move it away and a new one is made",
            ) from error


def _values(row: LeaseRow) -> tuple[object, ...]:
    return (
        row.uid, row.resource.value, row.name, row.namespace, row.holder, row.purpose, row.pool,
        " ".join(row.members), row.directory, row.acquired, row.expires,
    )  # fmt: skip


def _row(values: tuple[str, str, str, str, str, str, str, str, str, float, float | None]) -> LeaseRow:
    uid, resource, name, namespace, holder, purpose, pool, members, directory, acquired, expires = values
    return LeaseRow(
        uid=uid, resource=Resource(resource), name=name, namespace=namespace, holder=holder, purpose=purpose,
        pool=pool, members=tuple(members.split()), directory=directory, acquired=acquired, expires=expires,
    )  # fmt: skip
