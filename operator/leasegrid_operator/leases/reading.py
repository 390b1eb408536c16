"""What a Lease's body says, as typed facts: a body has kilobytes, the facts a few hundred bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from leasegrid.api.lease import Lease, LeaseSpec
from leasegrid.api.loading import read_object
from leasegrid.rules.reasons import ConditionType
from leasegrid_operator.resources import ObjectKey
from tasklet_runner.wire.pins import split_pin

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A lease's status as far as it is read again: instants in UNIX seconds, None for not yet; members by name.

    `pinned`: endpoints of those whose key it names.
    """

    epochs: Mapping[str, int]
    acquired: float | None
    conditions: tuple[Mapping[str, str], ...]
    released: bool
    released_at: float | None
    unverified: tuple[str, ...] = ()
    pinned: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """`spec` is None when the models refuse what the API server took; `faults` then says why, by path.

    `generation` rises with each change of the spec.
    """

    key: ObjectKey
    uid: str
    created: float
    spec: LeaseSpec | None
    faults: tuple[str, ...]
    written: Written
    generation: int = 0


def read_lease(body: Body, known: LeaseFacts | None = None) -> LeaseFacts:
    """The facts. `known`: what was read of this very object before; a spec that is the same is not judged again."""
    metadata = body["metadata"]
    generation = metadata.get("generation", 0)
    if known is not None and generation and known.generation == generation:
        return replace(known, written=_written(body.get("status") or {}))
    lease, faults = read_object(body)
    return LeaseFacts(
        key=ObjectKey(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        created=_instant(metadata["creationTimestamp"]),
        spec=lease.spec if isinstance(lease, Lease) else None,
        faults=faults,
        written=_written(body.get("status") or {}),
        generation=generation,
    )


def _written(status: Body) -> Written:
    conditions = tuple(status.get("conditions") or ())
    released = next(
        (one for one in conditions if one["type"] == ConditionType.RELEASED and one["status"] == "True"), None
    )
    members = status.get("members") or ()
    return Written(
        epochs={one["name"]: one["epoch"] for one in members},
        acquired=_maybe(status.get("acquireTime")),
        conditions=conditions,
        released=released is not None,
        released_at=_maybe(released.get("lastTransitionTime")) if released is not None else None,
        unverified=tuple((status.get("receipt") or {}).get("unverified") or ()),
        pinned={one["name"]: one["endpoint"] for one in members if split_pin(one.get("endpoint", ""))[1]},
    )


def _maybe(text: str | None) -> float | None:
    return _instant(text) if text else None


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
