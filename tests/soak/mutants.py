"""Programs with a defect that a campaign must find: a campaign that finds nothing in them proves nothing."""

import os
from collections.abc import Iterable

from tasklet_runner.durable import slots
from tasklet_runner.store.index import Index, ObjectRow
from tests.soak import slots_child, store_child


def store_without_syncs(directory: str) -> None:
    """A store that says that bytes are on the disk and does not wait for it."""
    os.fsync = lambda fd: None
    store_child.run(directory)


def store_without_transactions(directory: str) -> None:
    """A store whose batches are written row by row."""
    Index._insert_rows = _row_by_row  # type: ignore[assignment]  # a defect on purpose
    store_child.run(directory)


def slots_without_syncs(directory: str) -> None:
    """Slots that acknowledge what only the kernel has."""
    os.fdatasync = lambda fd: None
    slots_child.run(directory)


def slots_over_the_newest(directory: str) -> None:
    """Slots that write over the newest checkpoint instead of the older one."""
    older = slots.Slots._older
    slots.Slots._older = lambda self: self._newest.slot if self._newest is not None else older(self)  # type: ignore[method-assign]  # as above
    slots_child.run(directory)


def _row_by_row(index: Index, rows: Iterable[ObjectRow]) -> None:
    for row in rows:
        index._connection.execute("INSERT OR IGNORE INTO objects VALUES(?, ?, ?, ?, ?, ?, ?)", row)
        index._connection.execute("COMMIT")
        index._connection.execute("BEGIN IMMEDIATE")
