"""How many bytes a store may still take: exact, also while many writers are under way at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.index import Index
from tasklet_runner.wire.errors import StoreError


class Quota:
    """Counts what is in the index, and what has been promised to puts that are under way."""

    def __init__(self, name: StoreName, index: Index) -> None:
        self._name = name
        self._index = index
        self._reserved = 0

    @property
    def room(self) -> int:
        """Bytes that may still be put, those of puts under way deducted."""
        return self._name.quota_bytes - self.taken

    @property
    def taken(self) -> int:
        """Bytes of all objects and of puts under way."""
        return self._index.used + self._reserved

    def require(self, byte_count: int) -> None:
        """Raise StoreError when so many more bytes do not fit."""
        if byte_count > self.room:
            raise self.refused(0, byte_count)

    def refused(self, held: int, byte_count: int) -> StoreError:
        """There is no room for `byte_count` more bytes of a put that holds `held` of those that are taken."""
        return self._name.quota_reached(self.taken - held, held + byte_count)

    @contextmanager
    def reservation(self) -> Iterator["Reservation"]:
        """What one put promises itself; free again at the end of the block, when it is in the index or given up."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            reservation.release()

    def change(self, byte_count: int) -> None:
        """Promise so many more bytes, or, negative, fewer."""
        self._reserved += byte_count


class Reservation:
    """The bytes of one put."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._held = 0

    def extend(self, byte_count: int) -> None:
        """So many more bytes. Raises StoreError when they do not fit."""
        if byte_count > self._quota.room:
            # What this put holds already is wanted too, not used: the message tells of the put as a whole.
            raise self._quota.refused(self._held, byte_count)
        self._held += byte_count
        self._quota.change(byte_count)

    def release(self) -> None:
        """Give them back: they are counted by the index from now on, or by nobody."""
        self._quota.change(-self._held)
        self._held = 0
