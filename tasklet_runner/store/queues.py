"""Queues of one store; see `wire.queues` for what they promise.

Times are seconds of the caller's own clock, which need not agree with that of an earlier process: what an earlier one
had delivered is hidden for its whole time once more, from the opening on.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.index import Change, Index
from tasklet_runner.store.quota import Quota
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.queues import Ack, Delivery, Message, Received, Standing

RECEIVED_BYTES = 4 * 1024 * 1024
"""One answer has so many bytes of bodies at most, or one message."""

_RECEIPT = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})")


class Queues:
    """All queues of a store. Blocking, some milliseconds. Every call raises StoreError when the disk fails."""

    def __init__(self, name: StoreName, index: Index, quota: Quota) -> None:
        self._name = name
        self._index = index
        self._quota = quota
        self._since: float | None = None

    def push(self, queue: str, messages: Sequence[Message]) -> int:
        """Add those that are new; how many.

        Raises RefusedError (Conflict: the queue is closed), StoreError (they do not fit).
        """
        with self._changing() as change:
            before = change.connection.total_changes
            change.connection.executemany(
                "INSERT OR IGNORE INTO messages(queue, id, body) VALUES(?, ?, ?)",
                [(queue, message.id, message.body) for message in messages],
            )
            added = change.connection.total_changes - before
            if added and self._is_closed(change.connection, queue):
                raise RefusedError("Conflict", f"queue {queue!r} is closed", remedy="push before it is closed")
            change.added = self._left_bytes(change, queue, messages, added)
            self._quota.require(change.added)
        return added

    def receive(self, queue: str, limit: int, visibility_seconds: float, now: float) -> Received:
        """Deliver up to `limit` messages that are not hidden at `now`."""
        with self._changing(now) as change:
            found = change.connection.execute(
                "SELECT number, id, body, attempts FROM messages"
                " WHERE queue=? AND body IS NOT NULL AND hidden_until<=? ORDER BY number LIMIT ?",
                (queue, now, limit),
            ).fetchall()
            taken = _bounded(found)
            change.connection.executemany(
                "UPDATE messages SET attempts=attempts+1, hidden_until=?, visibility=? WHERE number=?",
                [(now + visibility_seconds, visibility_seconds, number) for number, *_ in taken],
            )
            closed = self._is_closed(change.connection, queue)
            left = change.connection.execute(
                "SELECT count(*) FROM messages WHERE queue=? AND body IS NOT NULL", (queue,)
            ).fetchone()[0]
        return Received(
            tuple(
                Delivery(id_, body, f"{number}.{attempts + 1}", attempts + 1) for number, id_, body, attempts in taken
            ),
            closed,
            left,
        )

    def acknowledge(self, queue: str, ack: Ack) -> tuple[Standing, ...]:
        """What became of each receipt; see `Ack`."""
        with self._changing() as change:
            standings = tuple(_standing(change.connection, queue, receipt) for receipt in ack.receipts)
            if ack.commit is not None and Standing.LOST in standings:
                # Nothing happens: those that stand could have been acknowledged, and were not.
                return standings
            good = [
                _parts(receipt)
                for receipt, standing in zip(ack.receipts, standings, strict=True)
                if standing is Standing.ACKNOWLEDGED
            ]
            change.added = -sum(_release(change.connection, number) for number, _ in good)
            if ack.commit is not None and good:
                self._index.insert_commits([ack.commit])
        return standings

    def close(self, queue: str) -> None:
        """No new message comes. A second call does nothing."""
        with self._changing() as change:
            change.connection.execute("INSERT OR IGNORE INTO queues VALUES(?, 1)", (queue,))

    @contextmanager
    def _changing(self, now: float | None = None) -> Iterator[Change]:
        with self._name.translated(), self._index.changing() as change:
            if now is not None and self._since is None:
                change.connection.execute("UPDATE messages SET hidden_until=?+visibility WHERE visibility>0", (now,))
                self._since = now
            yield change

    def _left_bytes(self, change: Change, queue: str, messages: Sequence[Message], added: int) -> int:
        """Bytes of those that were new: the last `added` numbers."""
        if not added:
            return 0
        found = change.connection.execute(
            "SELECT total(size) FROM (SELECT length(body) AS size FROM messages ORDER BY number DESC LIMIT ?)", (added,)
        )
        return int(found.fetchone()[0])

    def _is_closed(self, connection: sqlite3.Connection, queue: str) -> bool:
        return connection.execute("SELECT 1 FROM queues WHERE name=?", (queue,)).fetchone() is not None


def _bounded(found: Sequence[tuple[int, str, bytes, int]]) -> Sequence[tuple[int, str, bytes, int]]:
    size = 0
    for place, (_, _, body, _) in enumerate(found):
        size += len(body)
        if size > RECEIVED_BYTES and place:
            return found[:place]
    return found


def _parts(receipt: str) -> tuple[int, int]:
    found = _RECEIPT.fullmatch(receipt)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _standing(connection: sqlite3.Connection, queue: str, receipt: str) -> Standing:
    number, attempts = _parts(receipt)
    found = connection.execute(
        "SELECT attempts, body IS NULL FROM messages WHERE number=? AND queue=?", (number, queue)
    ).fetchone()
    if found is None:
        return Standing.LOST
    if found[1]:
        return Standing.ALREADY
    return Standing.ACKNOWLEDGED if found[0] == attempts else Standing.LOST


def _release(connection: sqlite3.Connection, number: int) -> int:
    """Forget a body; its bytes. The id stays, so that a push that comes again is recognised."""
    size = connection.execute("SELECT coalesce(length(body), 0) FROM messages WHERE number=?", (number,)).fetchone()[0]
    connection.execute("UPDATE messages SET body=NULL, visibility=0 WHERE number=?", (number,))
    return int(size)
