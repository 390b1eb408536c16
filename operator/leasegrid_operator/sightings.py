"""Which objects are known to be there, so that a new listing shows what went away unseen. No I/O.

A watch that was interrupted for too long starts again with a list, and of what was deleted in between no event ever
comes. client-go fills this gap with `DeletedFinalStateUnknown`; kopf does not: here it is filled.
"""

from dataclasses import dataclass, field

from leasegrid_operator.resources import ObjectKey


@dataclass
class _Scope:
    """The objects of one kind under one watch, by uid; those that the listing which is read has not shown yet."""

    known: dict[str, ObjectKey] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


class Sightings:
    """Kept by scope: the path of a list, which is a kind in one namespace or in all."""

    def __init__(self) -> None:
        self._scopes: dict[str, _Scope] = {}

    def listing_began(self, scope: str) -> None:
        """The list is read from its start; what an earlier, broken reading showed does not count."""
        kept = self._scopes.setdefault(scope, _Scope())
        kept.missing = set(kept.known)

    def noted(self, scope: str, uid: str, key: ObjectKey, *, listed: bool) -> None:
        """The object is there. `listed`: by the list, not by an event that may be older than it."""
        kept = self._scopes.setdefault(scope, _Scope())
        kept.known[uid] = key
        if listed:
            kept.missing.discard(uid)

    def gone(self, scope: str, uid: str) -> None:
        """The object's deletion was seen."""
        kept = self._scopes.setdefault(scope, _Scope())
        kept.known.pop(uid, None)
        kept.missing.discard(uid)

    def listing_ended(self, scope: str) -> list[tuple[str, ObjectKey]]:
        """The uid and key of each object that was known and that the list did not show; they are forgotten."""
        kept = self._scopes.setdefault(scope, _Scope())
        missing, kept.missing = kept.missing, set()
        return [(uid, kept.known.pop(uid)) for uid in missing]
