"""The end of leases: every member freed in one batch, and what is left behind in writing."""

import asyncio

from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Parts
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.errors import LeaseEndedError


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
            record.settle(_too_late(record))
            record.touch()
            for child in self._parts.table.children(record.request.request_id):
                self.begin(child, "ParentReleased")
        return record.ending

    async def _end(self, record: LeaseRecord) -> Receipt:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if record.binding:
            await record.bound.wait()
        held = list(record.held.values())
        await self._parts.binder.release(record, held)
        await asyncio.gather(*record.collecting)
        silent = list(record.unverified.values())
        if silent:
            record.unverified = {one.member.name: one for one in await self._parts.host.vanish(record, silent)}
        disposal = await self._parts.host.dispose(record, held)
        now = self._parts.clock.now()
        receipt = Receipt(
            lease_uid=record.uid,
            reason=record.ended,
            members=tuple(record.used),
            tasklets=record.counters.tasklets,
            scratch_bytes=record.scratch_bytes,
            held_milliseconds=max(0, round((now - record.acquired) * 1000)),
            released_in_milliseconds=round((loop.time() - started) * 1000),
            volumes=disposal.volumes,
            volume_bytes=disposal.volume_bytes,
            unverified=(*record.unverified, *disposal.unverified),
            counters=record.counters,
        )
        self._parts.ledger.close_account(record, receipt)
        self._parts.changed()
        return receipt


def _too_late(record: LeaseRecord) -> LeaseEndedError:
    """What whoever still waits for the first members hears."""
    return LeaseEndedError(
        f"the lease {record.request.request_id} ended before it was bound: {record.ended}", remedy="acquire a new one"
    )
