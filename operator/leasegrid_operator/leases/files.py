"""What the operator remembers of a lease's object between two looks, and what its status should say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leasegrid.api.lease import LeaseSpec
from leasegrid.leasing.claims import error_for
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import LeaseRecord
from leasegrid.rules.reasons import AdmissionReason, LeaseReason
from leasegrid_operator.leases.reading import LeaseFacts
from leasegrid_operator.leases.status import (
    BoundLease,
    Said,
    bound_status,
    released_status,
    unseen_words,
    verified_status,
    waiting_status,
)
from tasklet_runner.fabric.protocol import LeaseRequest, Receipt
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError, UnsupportedError

Essence = tuple[object, ...]
"""What of a status is worth a write: a renewal through the broker is not."""

RELEASED = "released"

_WORDS = {
    "Finished": "its holder gave it back",
    "Expired": "it was not renewed before its deadline",
    "Revoked": "it was revoked (spec.revoke)",
    "Deleted": "its object was deleted",
    "ParentReleased": "its parent has ended",
}


@dataclass(eq=False)
class LeaseFile:
    """`before`: the conditions as they were written last. `renew_time`: the spec's, as it was last obeyed; `renewed`:
    when that was, UNIX seconds. `essence`: what stands in the status, `composed` what is on its way there.

    `receipt` and `message`: how it ended; `left`: what nobody has seen the end of yet, when that is less than was
    written. `kept`: its object's own end is planned. `begun`: the engine was told of it; `removed`: the object is gone.
    By the event loop's clock, `revoke_at`: when its revocation's grace is over, and `patience`: until when it waits for
    a pool that was made beside it and is not seen yet. `wished`: what its holder asked of the broker. `followed`: the
    spec whose changes are obeyed.
    """

    facts: LeaseFacts
    before: Said
    renew_time: str | None = None
    renewed: float | None = None
    renewals: int = 0
    wished: LeaseRequest | None = None
    followed: LeaseSpec | None = None
    essence: Essence = ()
    composed: Essence = ()
    receipt: Receipt | None = None
    message: str = ""
    left: tuple[str, ...] | None = None
    revoke_at: float | None = None
    kept: bool = False
    begun: bool = False
    removed: bool = False
    patience: float = 0.0

    @property
    def uid(self) -> str:
        """The object's uid: the lease's name towards members."""
        return self.facts.uid

    @property
    def unverified(self) -> tuple[str, ...]:
        """Members and volumes whose end is not seen yet, by what its status says; empty until it says so."""
        if self.left is not None:
            return self.left
        if self.facts.written.released:
            return self.facts.written.unverified
        written = self.essence[:1] == (RELEASED,)
        return self.receipt.unverified if self.receipt is not None and written else ()


def compose(file: LeaseFile, engine: LeaseEngine, now: float) -> dict[str, Any] | None:
    """The status that is to be written now, None when there is nothing to say, or nothing new."""
    if file.left is not None:
        return _new(file, (RELEASED, file.left), verified_status(file.left, file.before, now))
    if file.receipt is not None:
        status = released_status(file.receipt, file.message, file.before, now)
        return _new(file, (RELEASED, file.receipt.unverified), status)
    record = engine.parts.table.get(file.uid)
    return None if record is None else _living(file, record, engine, now)


def _living(file: LeaseFile, record: LeaseRecord, engine: LeaseEngine, now: float) -> dict[str, Any] | None:
    if record.settled.done():
        return _bound(file, record, engine, now)
    if not record.waiting_because:
        return None
    essence = ("waiting", record.queue_position, record.waiting_because)
    return _new(file, essence, waiting_status(record.queue_position, record.waiting_because, file.before, now))


def bound_essence(epochs: Mapping[str, int], wanted: int, renewals: int = 0) -> Essence:
    """What counts of a lease that has its members."""
    return ("bound", tuple(sorted(epochs.items())), wanted, renewals)


def ended_words(record: LeaseRecord, receipt: Receipt) -> str:
    """Why a lease ended, for people."""
    failure = record.settled.exception() if record.settled.done() and not record.settled.cancelled() else None
    if failure is not None and not isinstance(failure, LeaseEndedError):
        return str(failure)
    return _WORDS.get(receipt.reason, receipt.reason) + unseen_words(receipt.unverified)


def refused(reason: str, message: str) -> LeaseGridError:
    """What a program hears of a lease that ended, for this reason, before it had a member."""
    if reason in set(AdmissionReason):
        return error_for(AdmissionReason(reason))(message)
    if reason == LeaseReason.INVALID_SPEC:
        return UnsupportedError(message, remedy="mend the fields that it names")
    return LeaseEndedError(message, remedy="acquire a new one")


def _bound(file: LeaseFile, record: LeaseRecord, engine: LeaseEngine, now: float) -> dict[str, Any] | None:
    epochs = {name: held.grant.epoch for name, held in record.held.items()}
    essence = bound_essence(epochs, record.wanted, file.renewals)
    if essence == file.essence:
        return None
    view = engine.view(record)
    lease = BoundLease(
        members=view.members,
        nodes={name: held.member.node for name, held in record.held.items()},
        capabilities=view.capabilities,
        acquired=record.acquired,
        renewed=file.renewed,
        expires=record.deadline,
        wanted=record.wanted,
    )
    return _new(file, essence, bound_status(lease, file.before, now))


def _new(file: LeaseFile, essence: Essence, status: dict[str, Any]) -> dict[str, Any] | None:
    if essence == file.essence:
        return None
    file.composed = essence
    return status
