"""A way into a job's store for whoever asked for it in the job's object; see `wire.store_access`."""

from dataclasses import dataclass

from leasegrid_operator.jobs.requests import JobKey
from leasegrid_operator.jobs.status import Status
from leasegrid_operator.leases.status import written_instant
from tasklet_runner.client.store_access import seal_access
from tasklet_runner.fabric.protocol import LeaseView
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.store_access import EVERYTHING, StoreAccess
from tasklet_runner.wire.uploads import UPLOADS_PREFIX

ACCESS_SECONDS = 4 * 3600.0
"""Time for many outputs on a slow line. Whoever needs more asks again."""


@dataclass(frozen=True)
class HeldStore:
    """The store of a job under lease: its holder's key, its bytes, and the term of the last coordinator (0: none)."""

    view: LeaseView
    key: JobKey
    size: int
    term: int


def held_store(view: LeaseView | None, plan: Plan | None, key: JobKey, term: int) -> HeldStore | None:
    """The job's store where it is served now; None while nobody serves it."""
    if view is None or plan is None or not view.members:
        return None
    return HeldStore(view, key, plan.output.size, term)


def reading_grant(held: HeldStore, expires_at: float) -> str:
    """A signed grant of everything that is in the store."""
    # Until a coordinator has opened the store, its term is the epoch of its member.
    term = max(held.term, held.view.members[0].epoch)
    get = GetGrant(store=held.view.uid, term=term, key_prefix=EVERYTHING, expires_at=expires_at)
    return sign(get, held.key.private)


def access_status(asked: str, held: HeldStore, now: float) -> Status:
    """What is written for the public key `asked`. `now`: UNIX seconds. Raises ProtocolError: that is no key.

    Files may be put until the first coordinator.
    """
    store, term, member = held.view, held.term, held.view.members[0]
    expires_at = now + ACCESS_SECONDS
    put = PutGrant(
        store=store.uid,
        term=member.epoch,
        key_prefix=UPLOADS_PREFIX,
        max_bytes=held.size,
        expires_at=expires_at,
    )
    access = StoreAccess(
        member=member.name,
        endpoint=member.endpoint,
        get=reading_grant(held, expires_at),
        put="" if term else sign(put, held.key.private),
        expires_at=expires_at,
    )
    return {"key": asked, "sealed": seal_access(access, asked), "expireTime": written_instant(expires_at)}
