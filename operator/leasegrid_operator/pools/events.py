"""Events of pools, aggregated: whatever happens, one write a second for each pool and reason.

An event is one object for each pool and reason, whose count grows for as long as it goes on, as client-go's correlator
does it (https://pkg.go.dev/k8s.io/client-go/tools/record): `kubectl describe` shows one line for each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from leasegrid_operator.pools.pods import Owner
from leasegrid_operator.pools.status import written_instant

FLUSH_SECONDS = 1.0
SERIES_SECONDS = 600.0
"""A series that was silent for so long, or that is so old, has ended: the next event begins another."""

MAX_NAMED = 5
COMPONENT = "leasegrid-operator"


class PoolEvent(StrEnum):
    """Why an event is told."""

    PROVISIONED = "MemberProvisioned"
    WARMED = "MemberWarmed"
    CLAIMED = "MemberClaimed"
    RELEASED = "MemberReleased"
    TERMINATED = "MemberTerminated"
    FAILED = "MemberFailed"


_WARNINGS = frozenset({PoolEvent.FAILED})


@dataclass(frozen=True)
class EventWrite:
    """An event to be made (`new`), or a patch of the one that was made before."""

    namespace: str
    name: str
    body: Mapping[str, Any]
    new: bool


@dataclass
class _Series:
    owner: Owner
    reason: PoolEvent
    began: float = 0.0
    told_at: float = float("-inf")
    name: str = ""
    count: int = 0
    fresh: int = 0
    words: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """Of the latest second: who, and how many more."""
        more = self.fresh - len(self.words)
        return ", ".join(self.words) + (f" and {more} more" if more > 0 else "")


class EventBook:
    """Collects what happened. Nothing here waits; instants are UNIX seconds given by the caller."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, PoolEvent], _Series] = {}
        self._fresh: dict[tuple[str, PoolEvent], None] = {}

    def note(self, owner: Owner, reason: PoolEvent, words: str) -> None:
        """Something happened to a member of the owner; `words` names it, and says more where there is more to say."""
        key = (owner.uid, reason)
        series = self._series.setdefault(key, _Series(owner, reason))
        series.fresh += 1
        if len(series.words) < MAX_NAMED:
            series.words.append(words)
        self._fresh[key] = None

    def forget(self, owner_uid: str) -> None:
        """The owner is gone, and its events go with time."""
        for key in [key for key in self._series if key[0] == owner_uid]:
            del self._series[key]
            self._fresh.pop(key, None)

    def due(self, now: float) -> list[EventWrite]:
        """The writes that are due, each once."""
        ripe = [key for key in self._fresh if now >= self._series[key].told_at + FLUSH_SECONDS]
        for key in ripe:
            del self._fresh[key]
        return [_told(self._series[key], now) for key in ripe]

    def due_in(self, now: float) -> float | None:
        """Seconds until a write is due; None when there is nothing to tell."""
        return min((max(0.0, self._series[key].told_at + FLUSH_SECONDS - now) for key in self._fresh), default=None)

    def lost(self, write: EventWrite) -> None:
        """The event that was to be patched has expired, or could not be made: the next one is a new one."""
        for series in self._named(write.name):
            series.began = 0.0

    def _named(self, name: str) -> Iterator[_Series]:
        return (series for series in self._series.values() if series.name == name)


def _told(series: _Series, now: float) -> EventWrite:
    new = now - series.began > SERIES_SECONDS
    if new:
        series.began, series.count = now, 0
        # As client-go names them: unique for the object, its reason and the time.
        series.name = f"{series.owner.name}.{series.reason.value.lower()}.{int(now * 1e6):x}"
    series.count += series.fresh
    changing = {"count": series.count, "lastTimestamp": written_instant(now), "message": series.message}
    series.told_at, series.fresh = now, 0
    series.words.clear()
    body = {**_head(series), **changing} if new else changing
    return EventWrite(series.owner.namespace, series.name, body, new)


def _head(series: _Series) -> dict[str, Any]:
    owner = series.owner
    reference = owner.reference
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": series.name, "namespace": owner.namespace},
        "involvedObject": {
            **{name: reference[name] for name in ("apiVersion", "kind", "name", "uid")},
            "namespace": owner.namespace,
        },
        "reason": series.reason.value,
        "type": "Warning" if series.reason in _WARNINGS else "Normal",
        "firstTimestamp": written_instant(series.began),
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
    }
