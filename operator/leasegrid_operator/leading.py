"""Who leads: the pure rule over the record of the election, a `coordination.k8s.io` Lease. No I/O; time is given.

Source: client-go's leaderelection. What counts is how long ago *we saw the record change*, by our own monotonic
clock: clocks of other machines are never compared. A leader that could not renew for RENEW_DEADLINE_SECONDS stops
leading on its own, well before anybody else may take over after LEASE_SECONDS.

Beyond client-go: a leader that has missed a renewal, and whose own address *refuses* connections, has no process any
more and is replaced within some seconds. Should it live all the same it sees that it was replaced at its next renewal;
what both decide meanwhile, the members arbitrate.
"""

from dataclasses import dataclass
from typing import Any

LEASE_SECONDS = 15.0
RENEW_DEADLINE_SECONDS = 10.0
RETRY_SECONDS = 2.0
MISSED_SECONDS = RETRY_SECONDS + 0.5
"""A record that was not renewed for so long has missed a renewal."""
REFUSED_SECONDS = 1.5
"""A process that is started again at the same address listens sooner, or takes its own record back."""
ADDRESS = "leasegrid.dev/leader-address"
"""The annotation with the address of the leader's broker."""


@dataclass(frozen=True)
class Candidate:
    """A replica: a name that no other has, and the address of its broker."""

    identity: str
    address: str


@dataclass(frozen=True)
class Record:
    """The election's record as it was read; an empty holder has released it. `stamp` differs after each change."""

    holder: str
    address: str
    transitions: int
    version: str
    stamp: tuple[str, str]


@dataclass(frozen=True)
class Observed:
    """A record, if there is one, and when we first saw it as it is; `renewed`: our own last success, if we lead.

    `refused`: since when the leader's address refuses every connection; None when it does not, or nobody knows.
    """

    record: Record | None
    changed: float
    renewed: float | None = None
    refused: float | None = None


@dataclass(frozen=True)
class Acquire:
    """Take the record, which nobody holds (any more)."""


@dataclass(frozen=True)
class Renew:
    """We lead and go on."""


@dataclass(frozen=True)
class Follow:
    """Another leads, and is reached at `address`."""

    address: str


@dataclass(frozen=True)
class Lost:
    """We led and may not go on: `why` in words."""

    why: str


Decision = Acquire | Renew | Follow | Lost


def decide(observed: Observed, identity: str, now: float) -> Decision:
    """What to do about the record as we know it, at this instant of our monotonic clock."""
    record = observed.record
    if observed.renewed is not None:
        return _as_leader(record, observed.renewed, identity, now)
    if record is None or not record.holder or record.holder == identity:
        return Acquire()
    over = now - observed.changed >= LEASE_SECONDS or _is_dead(observed, now)
    return Acquire() if over else Follow(record.address)


def _is_dead(observed: Observed, now: float) -> bool:
    refused = observed.refused is not None and now - observed.refused >= REFUSED_SECONDS
    return refused and now - observed.changed >= MISSED_SECONDS


def _as_leader(record: Record | None, renewed: float, identity: str, now: float) -> Decision:
    if now - renewed >= RENEW_DEADLINE_SECONDS:
        return Lost(f"the record could not be renewed for {now - renewed:.0f} s")
    if record is not None and record.holder and record.holder != identity:
        return Lost(f"{record.holder} has taken over")
    return Renew()


def record_of(body: dict[str, Any]) -> Record:
    """The record in a Lease of coordination.k8s.io."""
    spec, metadata = body.get("spec", {}), body["metadata"]
    holder = spec.get("holderIdentity") or ""
    return Record(
        holder=holder,
        address=(metadata.get("annotations") or {}).get(ADDRESS, "") if holder else "",
        transitions=spec.get("leaseTransitions") or 0,
        version=metadata["resourceVersion"],
        stamp=(holder, spec.get("renewTime") or ""),
    )
