"""The leases of one namespace: their objects on one side, the shared engine on the other.

Level-triggered: `seen` may be called with the same facts again and does nothing then.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from leasegrid.api.enums import OnEmpty
from leasegrid.api.lease import LeaseSpec
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import LeaseRecord
from leasegrid.rules.reasons import LeaseReason
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.leases.afterwards import Afterwards, Unseen
from leasegrid_operator.leases.asking import KnownPools, refusal_of, request_of
from leasegrid_operator.leases.changes import SpecChanges
from leasegrid_operator.leases.files import LeaseFile, compose, ended_words, refused
from leasegrid_operator.leases.reading import LeaseFacts
from leasegrid_operator.leases.status import Status
from leasegrid_operator.leases.timers import Timers
from leasegrid_operator.leases.writing import StatusWriter
from leasegrid_operator.logs import Action, log
from leasegrid_operator.metrics import OperatorMetrics
from leasegrid_operator.resources import ObjectKey
from tasklet_runner.fabric.protocol import LeaseRequest, Receipt

logger = logging.getLogger(__name__)

POOL_PATIENCE_SECONDS = 1.0
"""A pool and a lease of it may be made by one command, and their watches are not in step."""


class Estate(Protocol):
    """What stands behind members, as far as leases change it."""

    def known_pools(self) -> KnownPools:
        """The pools that there are."""
        ...

    def provision(self, key: ObjectKey, uid: str, spec: LeaseSpec) -> str:
        """Members are to be made for this lease alone; returns the name of the pool that they form."""
        ...

    def belongs(self, record: LeaseRecord) -> None:
        """The lease has the members that it holds: those of single use are its own from now on."""
        ...

    def ended(self, record: LeaseRecord, receipt: Receipt, message: str, *, removed: bool) -> None:
        """A lease is over; `removed`: it has no object to say so."""
        ...


@dataclass(frozen=True)
class Office:
    """What all namespaces share. `wall` gives UNIX seconds."""

    cluster: Cluster
    metrics: OperatorMetrics
    wall: Callable[[], float]


class LeaseKeeping:
    """Implements `Ledger`. `attach` gives it the engine; until `take_over` was called it only notes what it sees."""

    def __init__(self, office: Office, estate: Estate) -> None:
        self._office = office
        self._estate = estate
        self._engine: LeaseEngine
        self._changes: SpecChanges
        self.files: dict[str, LeaseFile] = {}
        self.names: dict[str, str] = {}
        self.active = False
        self._wishes: dict[str, LeaseRequest] = {}
        self._writer = StatusWriter(office.cluster, self._compose, self._written)
        self._timers = Timers()
        self._afterwards = Afterwards(office.cluster, office.wall, self._timers, self._beside, self._writer.mark)
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, engine: LeaseEngine) -> None:
        """The engine whose ledger this is."""
        self._engine = engine
        self._changes = SpecChanges(engine, self._office.wall, self._timers, self._beside, self._writer.mark)

    def seen(self, facts: LeaseFacts) -> None:
        """An object as it is now."""
        file = self.files.get(facts.uid)
        if file is None:
            file = self._new(facts)
        file.facts = facts
        if self.active and not file.begun:
            self.begin(file)
        elif self.active:
            self._changes.follow(file, self._estate.known_pools())

    @contextmanager
    def expecting(self, name: str, request: LeaseRequest) -> Iterator[None]:
        """The broker makes an object of that name now: what it cannot say (needs beside named pools) is in the request,
        and the watch may show it before its creation is answered.
        """
        self._wishes[name] = request
        try:
            yield
        finally:
            self._wishes.pop(name, None)

    async def entered(self, facts: LeaseFacts) -> LeaseRecord:
        """The record of a lease that the broker made, as soon as it is entered.

        Raises what `Fabric.acquire` does when it was refused instead, and LeaseEndedError when it ended.
        """
        file = self.files.get(facts.uid) or self._new(facts)
        self.seen(facts)
        while (record := self._engine.parts.table.known(facts.uid)) is None:
            if file.receipt is not None:
                raise refused(file.receipt.reason, file.message)
            await asyncio.sleep(POOL_PATIENCE_SECONDS / 20)
        return record

    def removed(self, uid: str) -> None:
        """An object is gone: an immediate revoke."""
        file = self.files.pop(uid, None)
        if file is None:
            return
        file.removed = True
        if self.names.get(file.facts.key.name) == uid:
            del self.names[file.facts.key.name]
        known = self._engine.parts.table.known(uid)
        if known is not None:
            # With the object its name is free: a program that asks again by it means another lease.
            self._engine.parts.table.free_name(known)
        record = self._engine.parts.table.get(uid)
        if record is not None and self.active:
            # Kept until it has ended: the receipt is told by an event, as there is no object.
            self.files[uid] = file
            self._engine.endings.begin(record, LeaseReason.DELETED)

    def begin(self, file: LeaseFile) -> None:
        """A lease that no engine knows yet: enter it, refuse it, or see to what is left of it."""
        spec, file.begun = file.facts.spec, True
        if file.facts.written.released:
            self._afterwards.keep(file)
        elif spec is None:
            self.refuse(file, LeaseReason.INVALID_SPEC, "; ".join(file.facts.faults))
        elif spec.revoke is not None:
            self.refuse(file, LeaseReason.REVOKED, "it was revoked before it was bound (spec.revoke)")
        elif (why := self.orphaned(file)) is not None:
            self.refuse(file, LeaseReason.PARENT_RELEASED, why)
        else:
            self._enter(file)

    def refuse(self, file: LeaseFile, reason: str, message: str) -> None:
        """It ends before it had any member."""
        file.receipt, file.message = Receipt(lease_uid=file.uid, reason=str(reason), members=()), message
        for child in self._engine.parts.table.children(file.facts.key.name):
            self._engine.endings.begin(child, LeaseReason.PARENT_RELEASED)
        self._office.metrics.ended(str(reason))
        log(logger, logging.INFO, Action.LEASE_REFUSED, message, lease=str(file.facts.key), reason=str(reason))
        self._writer.mark(file.uid)

    def write_down(self, record: LeaseRecord) -> None:
        """See `Ledger`."""
        if record.settled.done() or record.held:
            self._estate.belongs(record)
            self._writer.mark(record.uid)
        elif record.waiting_because:
            self._writer.mark_queued(record.uid)

    def close_account(self, record: LeaseRecord, receipt: Receipt) -> None:
        """See `Ledger`."""
        file = self.files.get(record.uid)
        message = ended_words(record, receipt)
        removed = file is None or file.removed
        self._office.metrics.ended(receipt.reason)
        self._estate.ended(record, receipt, message, removed=removed)
        fields = {"lease": f"{record.request.namespace}/{record.request.request_id}", "reason": receipt.reason}
        log(logger, logging.INFO, Action.LEASE_ENDED, message, uid=record.uid, **fields)
        if file is None or file.removed:
            self.files.pop(record.uid, None)
            return
        file.receipt, file.message = receipt, message
        self._writer.mark(record.uid)

    def verify(self, unseen: Unseen) -> None:
        """Write down what has been seen after all of leases that ended unverified; call it about once a second."""
        self._afterwards.verify(self.files.values(), unseen)

    def watch_settling(self, record: LeaseRecord) -> None:
        """Tell metrics and log once when its first acquisition is over."""
        record.settled.add_done_callback(lambda _: self._settled(record))

    def tick(self) -> None:
        """Do what is due by time; call it some times a second."""
        self._timers.run(_now())

    async def close(self) -> None:
        """Write nothing more."""
        await self._writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _new(self, facts: LeaseFacts) -> LeaseFile:
        file = LeaseFile(facts, facts.written.conditions, facts.spec.renew_time if facts.spec else None)
        wished = self._wishes.get(facts.key.name)
        if wished is not None and facts.spec is not None and facts.spec.holder_key == wished.holder_key:
            file.wished = wished
        self.files[facts.uid] = file
        self.names[facts.key.name] = facts.uid
        return file

    def _enter(self, file: LeaseFile) -> None:
        facts = file.facts
        if facts.spec is None:
            return
        pools = self._estate.known_pools()
        refusal = refusal_of(file.uid, facts.spec, pools)
        if refusal is not None:
            self._be_patient(file, refusal.reason, f"{refusal.message} ({refusal.remedy})")
            return
        request = _wished(request_of(facts.key, facts.spec, pools), file.wished)
        own = self.provided(file)
        record = self._engine.record(file.uid, request, (*own, *request.pools), provisioned=bool(own))
        # Its place in the queue is that of its creation, whichever operator saw it first.
        record.arrived -= max(0.0, self._office.wall() - facts.created - 1.0)
        self.watch_settling(record)
        self._engine.enter(record)

    def provided(self, file: LeaseFile) -> tuple[str, ...]:
        """The pool that is made for the lease alone, if it asks for one; again: the same."""
        spec = file.facts.spec
        if spec is None or spec.on_empty is not OnEmpty.PROVISION:
            return ()
        return (self._estate.provision(file.facts.key, file.uid, spec),)

    def _be_patient(self, file: LeaseFile, reason: str, message: str) -> None:
        now = _now()
        file.patience = file.patience or now + POOL_PATIENCE_SECONDS
        if now >= file.patience:
            self.refuse(file, reason, message)
        else:
            self._timers.at(min(file.patience, now + POOL_PATIENCE_SECONDS / 10), lambda: self._again(file))

    def _again(self, file: LeaseFile) -> None:
        if not file.removed and file.receipt is None and self._engine.parts.table.get(file.uid) is None:
            self.begin(file)

    def end(self, file: LeaseFile, reason: LeaseReason) -> None:
        """The lease is over, if it lives."""
        record = self._engine.parts.table.get(file.uid)
        if record is not None:
            self._engine.endings.begin(record, reason)

    def orphaned(self, file: LeaseFile) -> str | None:
        """Why the lease's parent does not live, or None."""
        spec = file.facts.spec
        if spec is None or spec.parent_ref is None:
            return None
        parent = self.files.get(self.names.get(spec.parent_ref.name, ""))
        if parent is None:
            return f"its parent, the Lease {spec.parent_ref.name}, is not there"
        ended = parent.facts.written.released or parent.receipt is not None
        return f"its parent, the Lease {spec.parent_ref.name}, has ended" if ended else None

    def _settled(self, record: LeaseRecord) -> None:
        if record.settled.cancelled() or record.settled.exception() is not None:
            return
        file = self.files.get(record.uid)
        if file is not None:
            self._office.metrics.acquired(max(0.0, _now() - record.arrived))
            log(logger, logging.INFO, Action.LEASE_BOUND, f"{len(record.held)} members", lease=str(file.facts.key))

    def _compose(self, uid: str) -> tuple[ObjectKey, Status] | None:
        file = self.files.get(uid)
        if file is None or file.removed:
            return None
        status = compose(file, self._engine, self._office.wall())
        return None if status is None else (file.facts.key, status)

    def _written(self, uid: str, status: Status) -> None:
        file = self.files.get(uid)
        if file is None:
            return
        file.before, file.essence = tuple(status["conditions"]), file.composed
        if file.receipt is not None:
            self._afterwards.keep(file)

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _wished(request: LeaseRequest, wished: LeaseRequest | None) -> LeaseRequest:
    """The request with what its holder asked for and an object cannot say."""
    if wished is None:
        return request
    needs = {"slots": wished.slots, "memory": wished.memory, "cpu_features": wished.cpu_features}
    # Of a lease that names pools its object cannot say what it is of.
    needs |= {"resource": wished.resource, "size": wished.size}
    return msgspec.structs.replace(request, **needs)


def _now() -> float:
    return asyncio.get_running_loop().time()
