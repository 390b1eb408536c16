"""The end of leases: every member freed in one batch, and what is left behind in writing."""

import asyncio

from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Parts
from tasklet_runner.fabric.protocol import Receipt


class Endings:
    """Ends leases, each once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def begin(self, record: LeaseRecord, reason: str) -> "asyncio.Task[Receipt]":
        """The lease is over from this moment; the task ends with its receipt. A second call returns the same task."""
        if record.ending is None:
            record.ended = record.ended or reason
            record.ending = asyncio.create_task(self._end(record), name=f"end {record.uid}")
            self._parts.deadlines.drop(record.uid)
            record.touch()
            for child in self._parts.table.children(record.request.request_id):
                self.begin(child, "ParentReleased")
        return record.ending

    async def _end(self, record: LeaseRecord) -> Receipt:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if record.binding:
            await record.bound.wait()
        await self._parts.binder.release(record, list(record.held.values()))
        await asyncio.gather(*record.collecting)
        await self._verify(record)
        now = self._parts.clock.now()
        receipt = Receipt(
            lease_uid=record.uid,
            reason=record.ended,
            members=tuple(record.used),
            tasklets=record.counters.tasklets,
            scratch_bytes=record.scratch_bytes,
            held_milliseconds=max(0, round((now - record.acquired) * 1000)),
            released_in_milliseconds=round((loop.time() - started) * 1000),
            unverified=tuple(record.unverified),
            counters=record.counters,
        )
        self._parts.ledger.close_account(record, receipt)
        self._parts.changed()
        return receipt

    async def _verify(self, record: LeaseRecord) -> None:
        silent = [member for name in record.unverified if (member := self._parts.roster.find(name)) is not None]
        if silent:
            await self._parts.host.vanish(record, silent)
        record.unverified = {member.name: None for member in silent if not member.gone.is_set()}
