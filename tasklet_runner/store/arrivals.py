"""What is decided of each object of a batch while it arrives."""

from collections.abc import Sequence

from tasklet_runner.store.batches import require_same
from tasklet_runner.store.grants import Allowance
from tasklet_runner.store.index import Index, ObjectRow
from tasklet_runner.store.quota import Reservation
from tasklet_runner.wire.batches import ObjectHead


class Arrivals:
    """What is decided of the objects of one batch: may they be put, fit they in, are they there already."""

    def __init__(self, index: Index, allowance: Allowance, reserved: Reservation) -> None:
        self._index = index
        self._allowance = allowance
        self._reserved = reserved
        self._announced = 0
        self._there: set[str] = set()

    def judge(self, head: ObjectHead) -> bytes | None:
        """None when the object is new, else its digest. Raises RefusedError, ObjectConflictError, StoreError."""
        self._announced += head.size
        self._allowance.require(head.key, self._announced)
        known = self._index.stat(head.key)
        if known is None:
            self._reserved.extend(head.size)
            return None
        if len(head.digest) == 2 * len(known[1]):
            require_same(head.key, known[1], head.digest)
        self._there.add(head.key)
        return known[1]

    def fresh(self, rows: Sequence[ObjectRow]) -> list[ObjectRow]:
        """The rows that are to be written. Raises ObjectConflictError; RefusedError (TooLarge)."""
        known = self._index.stat_many(list(self._there))
        for row in rows:
            if row.key in self._there:
                # One that a commit of another attempt has taken away meanwhile will never be visible.
                require_same(row.key, known.get(row.key, (0, b""))[1], row.digest.hex())
        fresh = [row for row in rows if row.key not in self._there]
        if self._allowance.prefix and fresh:
            below = self._index.bytes_below(self._allowance.prefix)
            self._allowance.require(fresh[-1].key, below + sum(row.size for row in fresh))
        return fresh
