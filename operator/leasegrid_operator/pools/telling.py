"""Tells people and programs about pools: statuses and events, each written only when it differs and not too often."""

import asyncio
import heapq
import time
from collections.abc import Mapping
from typing import Any

from leasegrid.leasing.parts import Parts
from leasegrid.rules.pool_state import PoolCondition, PoolMember
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import ClusterError
from leasegrid_operator.pools.books import KeptPool, SeenPod, StatusBook
from leasegrid_operator.pools.events import EventBook, EventWrite
from leasegrid_operator.pools.status import (
    COUNTER_SECONDS,
    MAX_SAMPLES,
    PoolView,
    Sampled,
    pool_status,
    status_patch,
    write_due_in,
)
from leasegrid_operator.pools.writing import Writer
from leasegrid_operator.resources import EVENTS, POOLS, ObjectKey

FAILED_WRITE_SECONDS = 2.0


class Teller:
    """Writes statuses and events beside the loop that decides."""

    def __init__(self, cluster: Cluster, parts: Parts, writer: Writer) -> None:
        self._cluster = cluster
        self._parts = parts
        self._writer = writer
        self._books: dict[str, StatusBook] = {}
        self.events = EventBook()

    @property
    def busy(self) -> bool:
        """True while something is written, or is to be told soon."""
        return any(book.writing for book in self._books.values()) or self.events.due_in(time.time()) is not None

    def seen(self, uid: str, body: Mapping[str, Any]) -> None:
        """A pool's status as the server has it; older words than our own last write are passed over."""
        book = self._books.setdefault(uid, StatusBook())
        version = int(body["metadata"]["resourceVersion"])
        if not book.writing and version > book.version:
            book.status, book.version = dict(body.get("status") or {}), version

    def forget(self, uid: str) -> None:
        """The pool is gone."""
        self._books.pop(uid, None)
        self.events.forget(uid)

    def tell(self, kept: KeptPool, conditions: tuple[PoolCondition, ...], members: list[PoolMember]) -> float | None:
        """Write the status if it is due; returns in how many seconds it should be looked at again, None for never.

        Most looks end at the first comparison: a status is put together once a second, or when it says something new.
        """
        book = self._books.setdefault(kept.owner.uid, StatusBook())
        now = asyncio.get_running_loop().time()
        said = _transitions(kept, conditions)
        if book.writing:
            return COUNTER_SECONDS
        if said == book.told and now < book.looked_at + COUNTER_SECONDS:
            return book.looked_at + COUNTER_SECONDS - now
        wanted = self._status(kept, conditions, members, book)
        due_in = write_due_in(wanted, book.status, book.written_at, now)
        if due_in is not None and due_in > 0:
            return due_in
        book.told, book.looked_at = said, now
        if due_in is not None:
            book.writing = True
            self._writer.beside(self._write(kept, book, wanted))
        return None

    def flush(self) -> float | None:
        """Write the events that are due; returns in how many seconds the next ones are."""
        now = time.time()
        for write in self.events.due(now):
            self._writer.beside(self._write_event(write))
        return self.events.due_in(now)

    def _status(
        self, kept: KeptPool, conditions: tuple[PoolCondition, ...], members: list[PoolMember], book: StatusBook
    ) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        # Of one second the names decide, lest an operator that saw them in another order writes the status anew.
        by_age = [(seen.facts.created, seen.facts.name, seen) for seen in kept.pods.values()]
        oldest = [seen for _, _, seen in heapq.nsmallest(MAX_SAMPLES, by_age)]
        view = PoolView(
            name=kept.owner.name,
            generation=kept.generation,
            effective_target=kept.effective_target,
            members=[one for one in members if one.gone_at is None or now < one.gone_at],
            oldest=[self._sampled(seen) for seen in oldest],
            conditions=conditions,
        )
        return pool_status(view, book.status, time.time())

    def _sampled(self, seen: SeenPod) -> Sampled:
        record = self._parts.table.get(seen.member.lease)
        holder = record.request.request_id if record is not None else seen.member.lease
        return Sampled(seen.facts.name, seen.facts.created, seen.facts.ready, holder)

    async def _write(self, kept: KeptPool, book: StatusBook, wanted: dict[str, Any]) -> None:
        key = ObjectKey(kept.owner.namespace, kept.owner.name)
        patch = status_patch(wanted, book.status)
        try:
            written = await self._cluster.patch_status(POOLS, key, patch)
        except ClusterError:
            # What stands there is not known now; the next look compares anew.
            book.told = ()
            await asyncio.sleep(FAILED_WRITE_SECONDS)
        else:
            if written["metadata"]["uid"] == kept.owner.uid:
                book.status, book.version = written.get("status") or {}, int(written["metadata"]["resourceVersion"])
            book.written_at = asyncio.get_running_loop().time()
        book.writing = False
        self._parts.changed()

    async def _write_event(self, write: EventWrite) -> None:
        try:
            if write.new:
                await self._cluster.create(EVENTS, dict(write.body))
            else:
                await self._cluster.patch(EVENTS, ObjectKey(write.namespace, write.name), dict(write.body))
        except ClusterError:
            # An event is a courtesy: it is not told twice, and its series begins anew.
            self.events.lost(write)


def _transitions(kept: KeptPool, conditions: tuple[PoolCondition, ...]) -> tuple[object, ...]:
    return (kept.generation, *((one.type, one.status, one.reason) for one in conditions))
