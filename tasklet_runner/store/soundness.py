"""Whether the keys of an index are as they were written: a key that is not found may be one that turned into another.

SQLite compares nothing when it reads, so a flipped bit in a key makes its object absent, and nobody the wiser. But each
key of an object stands twice, in its row and in the tree that finds rows by keys, and each commit record says its stage
once more. Both are compared when a store is opened: some two seconds for a million.
"""

import sqlite3

_OBJECTS = """
SELECT count(*) FROM objects AS kept NOT INDEXED WHERE NOT EXISTS(
  SELECT 1 FROM objects AS named INDEXED BY sqlite_autoindex_objects_1
  WHERE named.key = kept.key AND named.rowid = kept.rowid)
"""

_COMMITS = """
SELECT count(*) FROM (SELECT record, CAST(stage AS BLOB) AS name FROM commits)
WHERE instr(substr(record, 1, 6 + length(name)), name) = 0
"""
"""A record is a MessagePack array that begins with its stage: at most six bytes stand before that text."""


class DamagedIndexError(sqlite3.DatabaseError):
    """A row that SQLite takes for whole and that says what no writer wrote."""


class Soundness:
    """Of one index, as it was when it was opened."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.lost_objects = int(connection.execute(_OBJECTS).fetchone()[0])
        self.lost_commits = int(connection.execute(_COMMITS).fetchone()[0])

    def require_objects(self, what: str) -> None:
        """Raise DamagedIndexError where that cannot be told for certain, as some key is not what it was."""
        if self.lost_objects:
            raise DamagedIndexError(f"the keys of {self.lost_objects} objects are not as they were written: {what}")

    def require_commits(self, what: str) -> None:
        """The same of commit records."""
        if self.lost_commits:
            raise DamagedIndexError(f"{self.lost_commits} commit records are not as they were written: {what}")
