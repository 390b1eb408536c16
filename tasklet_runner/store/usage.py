"""What a store holds, asked from outside: beside the process that serves it, or after its end."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tasklet_runner.store.index import DATABASE
from tasklet_runner.wire.errors import StoreError


@dataclass(frozen=True)
class StoreUsage:
    """`used_bytes` of `objects` objects; `commits`: chunks that are done; `term` of its last coordinator."""

    used_bytes: int
    objects: int
    commits: int
    term: int


def read_usage(directory: Path) -> StoreUsage:
    """Reads only and takes no lock. Raises StoreError when there is no store or it cannot be read."""
    try:
        # Not mode=ro: a reader of a write-ahead log must be able to make its shared index.
        with closing(sqlite3.connect(f"file:{quote(str(directory / DATABASE))}?mode=rw", uri=True)) as connection:
            counters = dict(connection.execute("SELECT name, value FROM counters"))
            (objects,) = connection.execute("SELECT count(*) FROM objects").fetchone()
            (commits,) = connection.execute("SELECT count(*) FROM commits").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the store in {directory}: {error}", remedy="check the directory") from error
    return StoreUsage(counters["used"], objects, commits, counters["term"])
