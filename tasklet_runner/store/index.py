"""The index of a store: which objects there are, which attempts are visible, small records, queues. SQLite in WAL mode.

Writes do not wait for the disk; `DiskStore.sync` makes them durable.
"""

import sqlite3
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tasklet_runner.store.database import open_database
from tasklet_runner.store.prefixes import attempt_of, successor
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.store.soundness import DamagedIndexError, Soundness
from tasklet_runner.store.transactions import transaction
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ObjectConflictError
from tasklet_runner.wire.uploads import UPLOADS_PREFIX

OWNER = "leasegrid.owner"
"""The record that names the lease whose objects these are."""

_AT_ONCE = 500
"""So many keys in one query: SQLite bounds the number of variables."""

_OTHER_ATTEMPTS = "key > :chunk AND key < :chunk_end AND NOT (key > :kept AND key < :kept_end)"

_COMMITTED = "(SELECT stage || '/' || number || '/' || attempt FROM commits)"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CommitRecord).decode


class ObjectRow(NamedTuple):
    """One object as it stands in the index: `data` for a small one; `file`, `checksums` and the `start` in that file
    for a large one.
    """

    key: str
    size: int
    digest: bytes
    file: str | None = None
    checksums: bytes | None = None
    data: bytes | None = None
    start: int = 0


class Applied(NamedTuple):
    """What a transaction did: how many commits were new, and which files no row names any more."""

    new_commits: int
    unused_files: list[str]


class Change:
    """What one transaction adds to the bytes that are used; negative: gives back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.added = 0


class QuotaReachedError(Exception):
    """So many more bytes were wanted than there is room for. DiskStore says it in words."""

    def __init__(self, wanted: int) -> None:
        super().__init__(wanted)
        self.wanted = wanted


class Index:
    """Blocking; raises sqlite3.Error. `used` is the exact sum of the sizes of all objects.

    Of an index whose keys are damaged what is found is given; that something is not there is never said.

    Raises StoreError for an index of another format, which is left as it is.
    """

    def __init__(self, directory: Path) -> None:
        self._connection = open_database(directory)
        self._connection.create_function("attempt_of", 1, attempt_of, deterministic=True)
        self._soundness = Soundness(self._connection)
        self.used = self._counter("used")
        self.term = self._counter("term")
        self.writer = self._counter("writer")

    def close(self) -> None:
        """Fold the log into the database and let go."""
        self._connection.close()

    def raise_term(self, term: int) -> None:
        """Durable when the call returns."""
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("UPDATE counters SET value=? WHERE name='term'", (term,))
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self.term = term

    def raise_writer(self, term: int) -> None:
        """The term of a job's coordinator that writes from now on; durable when the call returns."""
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("UPDATE counters SET value=? WHERE name='writer'", (term,))
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self.writer = term

    def take(self, owner: str, term: int) -> None:
        """Write down who owns the store, and its term, in one transaction; durable when the call returns."""
        self._connection.execute("PRAGMA synchronous=FULL")
        try:
            with transaction(self._connection):
                self.put_value(OWNER, owner.encode())
                self._connection.execute("UPDATE counters SET value=? WHERE name='term'", (term,))
        finally:
            self._connection.execute("PRAGMA synchronous=NORMAL")
        self.term = term

    @property
    def empty(self) -> bool:
        """True while there is no object and never was a message."""
        held = self._connection.execute("SELECT EXISTS(SELECT 1 FROM objects) OR EXISTS(SELECT 1 FROM messages)")
        return not held.fetchone()[0]

    def page(self, prefix: str, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        """Key, size and digest of objects whose keys begin with `prefix` and come after `after`, in key order."""
        self._soundness.require_objects("what there is cannot be listed")
        end = successor(prefix)
        bound = "" if end is None else "AND key < :end"
        return self._connection.execute(
            f"SELECT key, size, digest FROM objects WHERE key >= :prefix AND key > :after {bound} ORDER BY key LIMIT :limit",  # noqa: S608, E501  # constants alone
            {"prefix": prefix, "after": after, "end": end, "limit": limit},
        ).fetchall()

    def apply(self, rows: Sequence[ObjectRow], commits: Sequence[CommitRecord], room: int) -> Applied:
        """All of it or nothing.

        Raises:
            QuotaReachedError: the new objects have more than `room` bytes.
            ObjectConflictError: an object is there with other bytes.
        """
        with transaction(self._connection):
            fresh = self._insert(rows)
            added = sum(row.size for row in fresh)
            if added > room:
                raise QuotaReachedError(added)
            new = self.insert_commits(commits)
            freed, unused = self._drop_invisible(commits, everything_was_new=new == len(commits))
            used = self._count(added - freed)
        self.used = used
        if len(fresh) < len(rows):
            kept = {row.file for row in fresh}
            unused += {row.file for row in rows if row.file is not None} - kept
        return Applied(new, unused)

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """One transaction over the queues; what it adds is counted with the objects."""
        with transaction(self._connection):
            change = Change(self._connection)
            yield change
            used = self._count(change.added)
        self.used = used

    def find(self, key: str) -> ObjectRow | None:
        """The object of that key, its bytes included when it is small."""
        found = self._connection.execute("SELECT * FROM objects WHERE key=?", (key,)).fetchone()
        self._judge((key,), () if found is None else (found[0],))
        return None if found is None else ObjectRow(*found)

    def find_many(self, keys: Sequence[str]) -> dict[str, ObjectRow]:
        """Those of the objects that are there, at most some hundreds, for small ones come with their bytes."""
        found = {row[0]: ObjectRow(*row) for row in self._among("*", keys)}
        self._judge(keys, found)
        return found

    def stat_many(self, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Size and digest of those of the objects that are there."""
        found = {key: (size, digest) for key, size, digest in self._among("key, size, digest", keys)}
        self._judge(keys, found)
        return found

    def stat(self, key: str) -> tuple[int, bytes] | None:
        """Size and digest without the bytes."""
        found: tuple[int, bytes] | None = self._connection.execute(
            "SELECT size, digest FROM objects WHERE key=?", (key,)
        ).fetchone()
        self._judge((key,), () if found is None else (key,))
        return found

    def bytes_below(self, prefix: str, without: str = "") -> int:
        """Bytes of all objects below `<prefix>/`, but for that of the key `without`."""
        found = self._connection.execute(
            "SELECT total(size) FROM objects WHERE key > ? AND key < ? AND key != ?",
            (prefix + "/", prefix + "0", without),
        )
        return int(found.fetchone()[0])

    def commits(self, stage: str, first: int, limit: int) -> list[CommitRecord]:
        """Commit records of a stage with index >= first, in index order."""
        self._soundness.require_commits("which chunks are done cannot be told")
        found = self._connection.execute(
            "SELECT number, record FROM commits WHERE stage=? AND number>=? ORDER BY number LIMIT ?",
            (stage, first, limit),
        )
        try:
            read = [(number, _decode(record)) for number, record in found]
        except (*UNREADABLE, TypeError) as error:
            raise DamagedIndexError(f"a commit record of stage {stage!r} cannot be read: {error}") from error
        if any((record.stage, record.index) != (stage, number) for number, record in read):
            raise DamagedIndexError(f"a commit record of stage {stage!r} stands where that of another should")
        return [record for _, record in read]

    def put_value(self, name: str, value: bytes) -> None:
        """Replace a record whole."""
        self._connection.execute("INSERT OR REPLACE INTO records VALUES(?, ?)", (name, value))

    def get_value(self, name: str) -> bytes | None:
        """The record, or None."""
        found = self._connection.execute("SELECT value FROM records WHERE name=?", (name,)).fetchone()
        return None if found is None else bytes(found[0])

    def files(self) -> set[str]:
        """Every file that a row names."""
        return {
            name for (name,) in self._connection.execute("SELECT DISTINCT file FROM objects WHERE file IS NOT NULL")
        }

    def _judge(self, keys: Sequence[str], found: Container[str]) -> None:
        """Raise DamagedIndexError where a key is not found that may have turned into another."""
        if self._soundness.lost_objects:
            for key in keys:
                if key not in found:
                    self._soundness.require_objects(f"whether {key!r} was among them cannot be told")

    def _among(self, columns: str, keys: Sequence[str]) -> Iterator[Any]:
        for at in range(0, len(keys), _AT_ONCE):
            some = keys[at : at + _AT_ONCE]
            places = ",".join("?" * len(some))
            yield from self._connection.execute(f"SELECT {columns} FROM objects WHERE key IN ({places})", some)  # noqa: S608  # constants and question marks

    def _count(self, added: int) -> int:
        used = self.used + added
        if added:
            self._connection.execute("UPDATE counters SET value=? WHERE name='used'", (used,))
        return used

    def _counter(self, name: str) -> int:
        return int(self._connection.execute("SELECT value FROM counters WHERE name=?", (name,)).fetchone()[0])

    def _insert(self, rows: Sequence[ObjectRow]) -> Sequence[ObjectRow]:
        self._connection.execute("SAVEPOINT objects")
        before = self._connection.total_changes
        self._insert_rows(rows)
        if self._connection.total_changes - before == len(rows):
            return rows
        self._connection.execute("ROLLBACK TO objects")
        fresh = self._unknown(rows)
        self._insert_rows(fresh)
        return fresh

    def _insert_rows(self, rows: Iterable[ObjectRow]) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO objects VALUES(?, ?, ?, ?, ?, ?, ?)", rows)

    def _unknown(self, rows: Sequence[ObjectRow]) -> list[ObjectRow]:
        fresh: dict[str, ObjectRow] = {}
        for row in rows:
            known = (row.size, fresh[row.key].digest) if row.key in fresh else self.stat(row.key)
            if known is None:
                fresh[row.key] = row
            elif known[1] != row.digest:
                raise ObjectConflictError(
                    f"object {row.key!r} is there with other bytes",
                    remedy="objects are write-once: put another attempt under its own key",
                )
        return list(fresh.values())

    def insert_commits(self, commits: Sequence[CommitRecord]) -> int:
        """Within a transaction: how many of them were new."""
        before = self._connection.total_changes
        self._connection.executemany(
            "INSERT OR IGNORE INTO commits VALUES(?, ?, ?, ?)",
            [(record.stage, record.index, record.attempt, _encode(record)) for record in commits],
        )
        return self._connection.total_changes - before

    def _drop_invisible(self, commits: Sequence[CommitRecord], *, everything_was_new: bool) -> tuple[int, list[str]]:
        """Objects of attempts that will never be visible give their bytes back; returns bytes and files."""
        freed, files = 0, set[str]()
        for record in commits:
            if record.attempt > 1 or not everything_was_new:
                for size, file in self._drop_other_attempts(record.stage, record.index):
                    freed += size
                    files |= {file} if file else set()
        return freed, [file for file in files if not self._is_named(file)]

    def drop_uncommitted(self) -> list[str]:
        """Delete the objects of attempts that no commit names; returns the files that no row names any more. Of a
        damaged index nothing is deleted: it may be the key, or the commit, that is not what it was.
        """
        if self._soundness.lost_objects or self._soundness.lost_commits:
            return []
        doomed = f"attempt_of(key) NOT IN {_COMMITTED} AND key NOT GLOB '{UPLOADS_PREFIX}/*'"
        with transaction(self._connection):
            dropped = self._connection.execute(f"SELECT size, file FROM objects WHERE {doomed}").fetchall()  # noqa: S608  # a constant
            self._connection.execute(f"DELETE FROM objects WHERE {doomed}")  # noqa: S608  # a constant
            used = self._count(-sum(size for size, _ in dropped))
        self.used = used
        return [file for file in {file for _, file in dropped if file} if not self._is_named(file)]

    def _is_named(self, file: str) -> bool:
        # A segment goes with the last of its objects.
        return self._connection.execute("SELECT 1 FROM objects WHERE file=? LIMIT 1", (file,)).fetchone() is not None

    def _drop_other_attempts(self, stage: str, number: int) -> list[tuple[int, str | None]]:
        (visible,) = self._connection.execute(
            "SELECT attempt FROM commits WHERE stage=? AND number=?", (stage, number)
        ).fetchone()
        chunk, kept = f"{stage}/{number}", f"{stage}/{number}/{visible}"
        # "0" is the character after "/": the range holds exactly the keys below the prefix.
        bounds = {"chunk": chunk + "/", "chunk_end": chunk + "0", "kept": kept + "/", "kept_end": kept + "0"}
        dropped = self._connection.execute(f"SELECT size, file FROM objects WHERE {_OTHER_ATTEMPTS}", bounds).fetchall()  # noqa: S608  # a constant
        if dropped:
            self._connection.execute(f"DELETE FROM objects WHERE {_OTHER_ATTEMPTS}", bounds)  # noqa: S608  # a constant
        return dropped
