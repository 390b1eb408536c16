"""Leases as entries of a table or of a JSON document, of the same shape for one machine and for a cluster. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from leasegrid.cli import words
from leasegrid.cli.lease_objects import ENDED, LeaseObject, Phase
from leasegrid.cli.tables import columns

HEADINGS = ("LEASE", "STATE", "MEMBERS", "HOLDER", "EXPIRES", "AGE", "WHY")
_MEMBERS_SHOWN = 20
_WHY_CHARACTERS = 80


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One lease: every key is there in every entry, whatever the fabric knows of it.

    `acquired` and `expires` in UNIX seconds or None; `volume_bytes`, `chunks`, `directory` and `process` are of one
    machine; `endpoints` and `nodes` by member.
    """

    uid: str
    namespace: str
    name: str
    resource: str = ""
    purpose: str = ""
    holder: str = ""
    state: str = Phase.BOUND.value
    reason: str = ""
    message: str = ""
    queue_position: int | None = None
    wanted: int = 0
    members: tuple[str, ...] = ()
    endpoints: dict[str, str] = {}
    nodes: dict[str, str] = {}
    acquired: float | None = None
    expires: float | None = None
    chunks: int = 0
    volume_bytes: int = msgspec.field(default=0, name="bytes")
    directory: str = ""
    process: int = 0
    receipt: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry as it stands in a document."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


def entry_of(lease: LeaseObject, resource: str = "") -> Entry:
    """The entry of a lease on a cluster."""
    status, found = lease.status, lease.telling
    wanted = lease.spec.requirements
    return Entry(
        uid=lease.uid,
        namespace=lease.namespace,
        name=lease.name,
        resource=wanted.resource.value if wanted is not None else resource,
        purpose=lease.spec.purpose,
        holder=lease.spec.holder_identity,
        state=lease.phase.value,
        reason=found.reason if found is not None else "",
        message=found.message if found is not None else "",
        queue_position=status.queue_position,
        wanted=lease.spec.count,
        members=tuple(member.name for member in status.members),
        endpoints={member.name: member.endpoint for member in status.members},
        nodes={member.name: member.node for member in status.members if member.node},
        acquired=lease.acquired,
        expires=lease.expires,
        receipt=status.receipt.model_dump(by_alias=True) if status.receipt is not None else None,
    )


def table(leases: Sequence[LeaseObject], now: float) -> list[str]:
    """The leases in columns; `now` in UNIX seconds."""
    return columns(HEADINGS, [_row(lease, now) for lease in leases])


def _row(lease: LeaseObject, now: float) -> tuple[str, ...]:
    ended, receipt = lease.phase in ENDED, lease.status.receipt
    members = f"{len(lease.status.members)} of {lease.spec.count}"
    if ended:
        members = f"{receipt.members if receipt is not None else 0} freed"
    expires = "" if ended or lease.expires is None else f"in {words.duration(max(0.0, lease.expires - now))}"
    place = f" {lease.status.queue_position}" if lease.status.queue_position and lease.phase is Phase.QUEUED else ""
    why = "" if lease.phase is Phase.BOUND else lease.why
    short = why if len(why) <= _WHY_CHARACTERS else f"{why[: _WHY_CHARACTERS - 1]}…"
    age = words.duration(max(0.0, round(now - lease.created)))
    return lease.name, f"{lease.phase.value}{place}", members, lease.spec.holder_identity, expires, age, short


def bound_lines(lease: LeaseObject, now: float) -> Iterator[str]:
    """Members and expiry of a bound lease."""
    members = lease.status.members
    rows = [(f"  {one.name}", one.endpoint, one.node) for one in members[:_MEMBERS_SHOWN]]
    yield from columns(("  MEMBER", "ENDPOINT", "NODE"), rows)
    if len(members) > _MEMBERS_SHOWN:
        yield f"  and {words.count(len(members) - _MEMBERS_SHOWN, 'more member')}"
    if lease.expires is not None:
        yield f"  expires in {words.duration(max(0.0, lease.expires - now))} unless renewed"


def receipt_line(lease: LeaseObject) -> str:
    """The receipt of a lease in one line."""
    receipt = lease.status.receipt
    if receipt is None:
        return f"lease {lease.name}: released; it held nothing"
    parts = [f"released {words.count(receipt.members, 'member')}"]
    parts += [words.count(receipt.volumes, "volume")] if receipt.volumes else []
    took = words.duration(receipt.released_in_milliseconds / 1000)
    held = words.duration(receipt.held_milliseconds / 1000)
    line = f"lease {lease.name}: {' and '.join(parts)} in {took}, held for {held}, {_left(len(receipt.unverified))}"
    return f"{line} ({words.listed(list(receipt.unverified))})" if receipt.unverified else line


def _left(count: int) -> str:
    return f"{count} left behind" if not count else f"{count} not verified yet"


def pool_of(member: str, pools: Mapping[str, str]) -> str:
    """The pool of a member by its name, `<pool>-<first 5 of the pool's uid>-<number>`; empty for one of no pool.

    `pools`: uids by name.
    """
    pool, _, rest = member.rpartition("-")[0].rpartition("-")
    return pool if rest and pools.get(pool, "").startswith(rest) else ""
