"""What a grant allows: pure."""

from dataclasses import dataclass

from tasklet_runner.wire.errors import RefusedError, StoreFencedError
from tasklet_runner.wire.statements import CheckpointGrant, GetGrant, PutGrant


@dataclass(frozen=True)
class Allowance:
    """What one request may put: objects below `<prefix>/`, with those that are there of at most `max_bytes` together.

    `prefix` empty: any object.
    """

    max_bytes: int
    prefix: str = ""

    @classmethod
    def of(cls, grant: PutGrant) -> "Allowance":
        """What a grant allows, which `check_grant` let pass. Raises RefusedError when it covers nothing."""
        if not grant.key_prefix:
            raise RefusedError("NotGranted", "an empty prefix covers nothing", remedy="grant a prefix")
        return cls(grant.max_bytes, grant.key_prefix)

    def require(self, key: str, byte_count: int) -> None:
        """Raise RefusedError when the key is not covered (NotGranted), or so many bytes are too many (TooLarge)."""
        if self.prefix:
            require_below(self.prefix, key)
        if byte_count > self.max_bytes:
            raise RefusedError(
                "TooLarge",
                f"with object {key!r} there are {byte_count:,} bytes, {max(self.max_bytes, 0):,} are granted",
                remedy="maxOutput",
            )


def require_below(prefix: str, key: str) -> None:
    """Raise RefusedError (NotGranted) for a key that is not below the prefix; an empty prefix covers nothing."""
    if not prefix or not key.startswith(prefix + "/"):
        raise RefusedError(
            "NotGranted", f"object {key!r} is not below the granted {prefix!r}", remedy="use the grant as it was given"
        )


def check_grant(grant: PutGrant | GetGrant | CheckpointGrant, *, store_uid: str, term: int, now: float) -> None:
    """Return if the grant is one for this store, now. `now` is UNIX seconds of the store's own clock.

    Raises:
        RefusedError: another store (NotGranted), or the grant's time is over (LeaseExpired).
        StoreFencedError: the grant is of another term than the store's.
    """
    if grant.store != store_uid:
        raise RefusedError(
            "NotGranted",
            f"the grant is for store {grant.store!r}, this is {store_uid!r}",
            remedy="use the endpoint that came with the grant",
        )
    # Who reads harms nobody: the fabric may grant it before the coordinator of that term has opened the store.
    ahead = isinstance(grant, GetGrant) and grant.term > term
    if grant.term != term and not ahead:
        raise StoreFencedError(
            f"the grant is of term {grant.term}, the store is at term {term}",
            remedy="only the job's current coordinator grants",
        )
    if now >= grant.expires_at:
        raise RefusedError(
            "LeaseExpired",
            f"the grant for {_covered(grant)!r} expired {now - grant.expires_at:.0f} seconds ago",
            remedy="ask the coordinator for a new grant",
        )


def _covered(grant: PutGrant | GetGrant | CheckpointGrant) -> str:
    return grant.key if isinstance(grant, CheckpointGrant) else grant.key_prefix
