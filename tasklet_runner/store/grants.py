"""What a put grant allows: pure."""

from tasklet_runner.wire.errors import RefusedError, StoreFencedError
from tasklet_runner.wire.statements import PutGrant


def check_grant(grant: PutGrant, key: str, *, store_uid: str, term: int, now: float) -> None:
    """Return if the grant covers this object in this store now. `now` is UNIX seconds of the store's own clock.

    Raises:
        RefusedError: another store or key (NotGranted), or the grant's time is over (LeaseExpired).
        StoreFencedError: the grant is of another term than the store's.
    """
    if grant.store != store_uid:
        raise RefusedError("NotGranted", f"the grant is for store {grant.store!r}, this is {store_uid!r}")
    if grant.term != term:
        raise StoreFencedError(
            f"the grant is of term {grant.term}, the store is at term {term}",
            remedy="only the job's current coordinator grants puts",
        )
    if not grant.key_prefix or not key.startswith(grant.key_prefix + "/"):
        raise RefusedError("NotGranted", f"object {key!r} is not below the granted {grant.key_prefix!r}")
    if now >= grant.expires_at:
        raise RefusedError(
            "LeaseExpired",
            f"the grant for {grant.key_prefix!r} expired {now - grant.expires_at:.0f} seconds ago",
            remedy="ask the coordinator for a new grant",
        )
