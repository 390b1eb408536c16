"""Queues of one store; see `wire.queues` for what they promise.

Times are seconds of the caller's own clock, which need not agree with that of an earlier process: what an earlier one
had delivered is hidden for its whole time once more, from the opening on.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.index import Change, Index
from tasklet_runner.store.quota import Quota
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.queues import Ack, Delivery, Message, PushMany, Received, ReceivedMany, Standing

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
        return self.push_many(PushMany({queue: tuple(messages)}))

    def push_many(self, asked: PushMany) -> int:
        """Add those that are new to their queues, and close these if asked; how many. Raises what `push` does."""
        with self._changing() as change:
            added = sum(self._add(change, queue, messages) for queue, messages in asked.queues.items())
            self._quota.require(change.added)
            if asked.close:
                for queue in asked.queues:
                    _close(change.connection, queue)
        return added

    def receive(self, queue: str, limit: int, visibility_seconds: float, now: float) -> Received:
        """Deliver up to `limit` messages that are not hidden at `now`."""
        found = self.receive_many((queue,), limit, visibility_seconds, now)
        return Received(found.queues.get(queue, ()), found.closed, found.left)

    def receive_many(self, queues: Sequence[str], limit: int, visibility_seconds: float, now: float) -> ReceivedMany:
        """Deliver up to `limit` messages of these queues that are not hidden at `now`."""
        names = msgspec.json.encode(list(dict.fromkeys(queues))).decode()
        with self._changing(now) as change:
            connection = change.connection
            # The names come first, so that each queue's messages are read along their own index, the oldest first.
            taken = _bounded(
                connection.execute(
                    "SELECT number, messages.id, body, attempts, queue FROM json_each(?) AS names CROSS JOIN messages"
                    " ON queue=names.value WHERE body IS NOT NULL AND hidden_until<=? LIMIT ?",
                    (names, now, limit),
                ).fetchall()
            )
            connection.executemany(
                "UPDATE messages SET attempts=attempts+1, hidden_until=?, visibility=? WHERE number=?",
                [(now + visibility_seconds, visibility_seconds, number) for number, *_ in taken],
            )
            (is_open,) = connection.execute(
                "SELECT EXISTS(SELECT value FROM json_each(?) EXCEPT SELECT name FROM queues)", (names,)
            ).fetchone()
            (left,) = connection.execute(
                "SELECT count(*) FROM json_each(?) AS names CROSS JOIN messages ON queue=names.value"
                " WHERE body IS NOT NULL",
                (names,),
            ).fetchone()
        return ReceivedMany(_by_queue(taken), not is_open, left)

    def acknowledge(self, queue: str, ack: Ack) -> tuple[Standing, ...]:
        """What became of each receipt; see `Ack`."""
        with self._changing() as change:
            standings = tuple(_standing(change.connection, queue, receipt) for receipt in ack.receipts)
            if ack.commit is not None and Standing.LOST in standings:
                # Nothing happens: those that stand could have been acknowledged, and were not.
                return standings
            if self._settle(change, queue, ack.receipts, standings) and ack.commit is not None:
                self._index.insert_commits([ack.commit])
        return standings

    def acknowledge_many(self, receipts: Mapping[str, Sequence[str]]) -> tuple[Standing, ...]:
        """What became of the receipts of each queue, in their order."""
        found: list[Standing] = []
        with self._changing() as change:
            for queue, some in receipts.items():
                standings = [_standing(change.connection, queue, receipt) for receipt in some]
                self._settle(change, queue, some, standings)
                found += standings
        return tuple(found)

    def close(self, queue: str) -> None:
        """No new message comes, and what is acknowledged leaves no trace. A second call does nothing."""
        with self._changing() as change:
            _close(change.connection, queue)

    def _add(self, change: Change, queue: str, messages: Sequence[Message]) -> int:
        before = change.connection.total_changes
        change.connection.executemany(
            "INSERT OR IGNORE INTO messages(queue, id, body) VALUES(?, ?, ?)",
            [(queue, message.id, message.body) for message in messages],
        )
        added = change.connection.total_changes - before
        if added and _is_closed(change.connection, queue):
            raise RefusedError("Conflict", f"queue {queue!r} is closed", remedy="push before it is closed")
        change.added += _left_bytes(change.connection, added)
        return added

    def _settle(self, change: Change, queue: str, receipts: Sequence[str], standings: Sequence[Standing]) -> bool:
        """Forget the messages whose receipts stand; True when there are some."""
        good = {
            _parts(receipt)[0]
            for receipt, standing in zip(receipts, standings, strict=True)
            if standing is Standing.ACKNOWLEDGED
        }
        trace = good and not _is_closed(change.connection, queue)
        for number in good:
            change.added -= _release(change.connection, number, trace=bool(trace))
        return bool(good)

    @contextmanager
    def _changing(self, now: float | None = None) -> Iterator[Change]:
        with self._name.translated(), self._index.changing() as change:
            if now is not None and self._since is None:
                change.connection.execute("UPDATE messages SET hidden_until=?+visibility WHERE visibility>0", (now,))
                self._since = now
            yield change


def _left_bytes(connection: sqlite3.Connection, added: int) -> int:
    """Bytes of those that were new: the last `added` numbers."""
    if not added:
        return 0
    found = connection.execute(
        "SELECT total(size) FROM (SELECT length(body) AS size FROM messages ORDER BY number DESC LIMIT ?)", (added,)
    )
    return int(found.fetchone()[0])


def _is_closed(connection: sqlite3.Connection, queue: str) -> bool:
    return connection.execute("SELECT 1 FROM queues WHERE name=?", (queue,)).fetchone() is not None


def _close(connection: sqlite3.Connection, queue: str) -> None:
    connection.execute("INSERT OR IGNORE INTO queues VALUES(?, 1)", (queue,))
    # Nothing is taken any more, so no id is needed to know it again: a store has no more ids than messages.
    connection.execute("DELETE FROM messages WHERE queue=? AND body IS NULL", (queue,))


_Found = tuple[int, str, bytes, int, str]


def _bounded(found: Sequence[_Found]) -> Sequence[_Found]:
    size = 0
    for place, (_, _, body, *_) in enumerate(found):
        size += len(body)
        if size > RECEIVED_BYTES and place:
            return found[:place]
    return found


def _by_queue(taken: Sequence[_Found]) -> dict[str, tuple[Delivery, ...]]:
    found: defaultdict[str, list[Delivery]] = defaultdict(list)
    for number, id_, body, attempts, queue in taken:
        found[queue].append(Delivery(id_, body, f"{number}.{attempts + 1}", attempts + 1))
    return {queue: tuple(deliveries) for queue, deliveries in found.items()}


def _parts(receipt: str) -> tuple[int, int]:
    found = _RECEIPT.fullmatch(receipt)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _standing(connection: sqlite3.Connection, queue: str, receipt: str) -> Standing:
    number, attempts = _parts(receipt)
    found = connection.execute(
        "SELECT attempts, body IS NULL FROM messages WHERE number=? AND queue=?", (number, queue)
    ).fetchone()
    if found is None:
        # Of a closed queue only what was acknowledged is forgotten.
        return Standing.ALREADY if number and _is_closed(connection, queue) else Standing.LOST
    if found[1]:
        return Standing.ALREADY
    return Standing.ACKNOWLEDGED if found[0] == attempts else Standing.LOST


def _release(connection: sqlite3.Connection, number: int, *, trace: bool) -> int:
    """Forget a body; its bytes. With `trace` the id stays, so that a push that comes again is recognised."""
    size = connection.execute("SELECT coalesce(length(body), 0) FROM messages WHERE number=?", (number,)).fetchone()[0]
    forget = "UPDATE messages SET body=NULL, visibility=0 WHERE number=?" if trace else _DELETE
    connection.execute(forget, (number,))
    return int(size)


_DELETE = "DELETE FROM messages WHERE number=?"
