"""Leases as the API server keeps them: read, judged, and written anew. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from leasegrid.api.common import API_VERSION, Condition
from leasegrid.api.enums import ConditionStatus
from leasegrid.api.lease import LeaseSpec, LeaseStatus
from leasegrid.rules.reasons import AdmissionReason
from tasklet_runner.wire.errors import ClusterError

_WAITING = (AdmissionReason.HEAD_OF_QUEUE, AdmissionReason.BEHIND_OTHERS)
_REFUSED = frozenset(reason.value for reason in AdmissionReason if reason not in _WAITING)


class Phase(StrEnum):
    """What has become of a lease, in one word; its conditions say why."""

    PENDING = "Pending"
    QUEUED = "Queued"
    BOUND = "Bound"
    REFUSED = "Refused"
    RELEASED = "Released"


ENDED = (Phase.REFUSED, Phase.RELEASED)


@dataclass(frozen=True)
class LeaseObject:
    """One Lease. `created` in UNIX seconds."""

    name: str
    namespace: str
    uid: str
    created: float
    spec: LeaseSpec
    status: LeaseStatus

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((one for one in self.status.conditions if one.type == kind), None)

    @property
    def phase(self) -> Phase:
        """What has become of it."""
        if self._is("Released", ConditionStatus.TRUE):
            return Phase.RELEASED if self.status.acquire_time else Phase.REFUSED
        if self._is("Bound", ConditionStatus.TRUE):
            return Phase.BOUND
        if self.status.queue_position:
            return Phase.QUEUED
        bound = self.condition("Bound")
        if self._is("Satisfiable", ConditionStatus.FALSE) or (bound is not None and bound.reason in _REFUSED):
            return Phase.REFUSED
        return Phase.PENDING if bound is None else Phase.QUEUED

    @property
    def telling(self) -> Condition | None:
        """The condition that says best why it is in its phase."""
        satisfiable = self.condition("Satisfiable")
        if self.phase is Phase.REFUSED and satisfiable is not None and satisfiable.status is ConditionStatus.FALSE:
            return satisfiable
        first = "Released" if self.phase is Phase.RELEASED else "Bound"
        return self.condition(first) or self.condition("Released")

    @property
    def why(self) -> str:
        """Reason and message of the telling condition."""
        found = self.telling
        return ": ".join(filter(None, (found.reason, found.message))) if found is not None else ""

    @property
    def expires(self) -> float | None:
        """When it ends unless renewed, in UNIX seconds; None while it is not known."""
        return seconds_of(self.status.expire_time)

    @property
    def acquired(self) -> float | None:
        """When it was bound, in UNIX seconds."""
        return seconds_of(self.status.acquire_time)

    def _is(self, kind: str, status: ConditionStatus) -> bool:
        found = self.condition(kind)
        return found is not None and found.status is status


def read_lease(raw: dict[str, Any]) -> LeaseObject:
    """The lease in an object of the API server; fields of a newer version are passed over. Raises ClusterError."""
    metadata = raw["metadata"]
    try:
        return LeaseObject(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            created=seconds_of(metadata.get("creationTimestamp")) or 0.0,
            spec=LeaseSpec.model_validate(raw.get("spec") or {}, extra="ignore"),
            status=LeaseStatus.model_validate(raw.get("status") or {}, extra="ignore"),
        )
    except (ValidationError, ValueError) as error:
        raise unreadable("lease", metadata["name"], error) from error


def unreadable(kind: str, name: str, error: Exception) -> ClusterError:
    """The error for an object that this version does not understand."""
    return ClusterError(
        f"the {kind} {name!r} cannot be read by this version: {error}",
        remedy="use the version of leasegrid that the cluster has",
    )


def seconds_of(instant: str | None) -> float | None:
    """An instant of the API (RFC 3339) in UNIX seconds. Raises ValueError."""
    if not instant:
        return None
    found = datetime.fromisoformat(instant)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def instant_of(seconds: float) -> str:
    """UNIX seconds as the API writes instants: RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def manifest(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A new Lease as it is sent to the API server."""
    return {"apiVersion": API_VERSION, "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def is_same_order(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    """True when every field that is wanted stands so in the found spec: the same order, given again."""
    return all(found.get(key) == value for key, value in wanted.items() if key != "purpose")
