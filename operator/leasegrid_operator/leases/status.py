"""What a lease's status says. Pure; instants are UNIX seconds of the fabric's clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leasegrid.rules.reasons import AdmissionReason, ConditionType, LeaseReason
from tasklet_runner.fabric.protocol import LeasedMember, Receipt

Status = dict[str, Any]
Said = Sequence[Mapping[str, str]]

LONGEST_MESSAGE = 1024

NEVER_SATISFIED = frozenset(
    {AdmissionReason.POOL_NOT_FOUND, AdmissionReason.UNSUPPORTED, AdmissionReason.UNSATISFIABLE}
)
"""Reasons for which no waiting would help."""


@dataclass(frozen=True)
class Verdict:
    """One condition as it should stand."""

    type: ConditionType
    status: bool
    reason: str
    message: str


@dataclass(frozen=True)
class BoundLease:
    """A lease that has its members; `nodes` by member name."""

    members: Sequence[LeasedMember]
    nodes: Mapping[str, str]
    capabilities: Sequence[str]
    acquired: float
    renewed: float | None
    expires: float
    wanted: int


def waiting_status(position: int, message: str, before: Said, now: float) -> Status:
    """A lease in the queue, with its place from 1 (0: members are being made for it alone)."""
    reason = AdmissionReason.HEAD_OF_QUEUE if position <= 1 else AdmissionReason.BEHIND_OTHERS
    verdicts = (
        _satisfiable(),
        Verdict(ConditionType.BOUND, False, reason if position else LeaseReason.PROVISIONING, message),
    )
    return {"queuePosition": position or None, "conditions": conditions(verdicts, before, now)}


def bound_status(lease: BoundLease, before: Said, now: float) -> Status:
    """A lease with its members."""
    have = len(lease.members)
    complete = have >= lease.wanted
    message = "its member is bound" if have == lease.wanted == 1 else f"{have} of {lease.wanted} members are bound"
    verdicts = (
        _satisfiable(),
        Verdict(ConditionType.BOUND, have > 0, _bound_reason(have, complete=complete), message),
    )
    return {
        "members": [_member(one, lease.nodes.get(one.name, "")) for one in lease.members],
        "capabilities": list(lease.capabilities),
        "acquireTime": written_instant(lease.acquired),
        "renewTime": None if lease.renewed is None else written_instant(lease.renewed),
        "expireTime": written_instant(lease.expires),
        "queuePosition": None,
        "conditions": conditions(verdicts, before, now),
    }


def released_status(receipt: Receipt, message: str, before: Said, now: float) -> Status:
    """A lease that has ended: its members and capabilities go, the receipt stays."""
    never = receipt.reason in NEVER_SATISFIED
    reason = LeaseReason.UNVERIFIED if receipt.unverified else receipt.reason
    verdicts = (
        _satisfiable() if not never else Verdict(ConditionType.SATISFIABLE, False, receipt.reason, message),
        Verdict(ConditionType.BOUND, False, receipt.reason, message),
        Verdict(ConditionType.RELEASED, True, reason, message),
    )
    return {
        "members": None,
        "capabilities": None,
        "queuePosition": None,
        "receipt": _receipt(receipt),
        "conditions": conditions(verdicts, before, now),
    }


UNSEEN = "; nobody has seen the end of"


def unseen_words(names: Sequence[str]) -> str:
    """What is added to the reason of an end that is not wholly seen; empty when it is."""
    return f"{UNSEEN} {len(names)} members or volumes yet: {', '.join(names[:5])}" if names else ""


def verified_status(left: Sequence[str], before: Said, now: float) -> Status:
    """A lease that ended unverified, and of whose members and volumes only these have not been seen to end since."""
    bound = next(one for one in before if one["type"] == ConditionType.BOUND)
    message = bound["message"].partition(UNSEEN)[0] + unseen_words(left)
    reason = LeaseReason.UNVERIFIED if left else bound["reason"]
    verdicts = (
        Verdict(ConditionType.BOUND, False, bound["reason"], message),
        Verdict(ConditionType.RELEASED, True, reason, message),
    )
    return {"receipt": {"unverified": list(left)}, "conditions": conditions(verdicts, before, now)}


def conditions(verdicts: Sequence[Verdict], before: Said, now: float) -> list[dict[str, str]]:
    """Conditions for a status; one keeps its transition time while its status is the same, others stay as they are."""
    known = {one["type"]: one for one in before}
    decided = {verdict.type.value: _condition(verdict, known.get(verdict.type.value, {}), now) for verdict in verdicts}
    kept = {kind: dict(one) for kind, one in known.items() if kind not in decided}
    return list((kept | decided).values())


def written_instant(seconds: float) -> str:
    """UNIX seconds as RFC 3339 with microseconds: leases are shorter than a clock's second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _condition(verdict: Verdict, before: Mapping[str, str], now: float) -> dict[str, str]:
    status = "True" if verdict.status else "False"
    unchanged = before.get("status") == status
    return {
        "type": verdict.type.value,
        "status": status,
        "reason": str(verdict.reason),
        "message": verdict.message[:LONGEST_MESSAGE],
        "lastTransitionTime": before["lastTransitionTime"] if unchanged else written_instant(now),
    }


def _satisfiable() -> Verdict:
    return Verdict(ConditionType.SATISFIABLE, True, LeaseReason.SATISFIABLE, "there are pools that can serve it")


def _bound_reason(have: int, *, complete: bool) -> LeaseReason:
    if not have:
        return LeaseReason.MEMBERS_LOST
    return LeaseReason.BOUND if complete else LeaseReason.GROWING


def _member(member: LeasedMember, node: str) -> dict[str, Any]:
    return {"name": member.name, "endpoint": member.endpoint, "node": node, "epoch": member.epoch}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "members": len(receipt.members),
        "volumes": receipt.volumes,
        "tasklets": receipt.tasklets,
        "bytesWiped": receipt.scratch_bytes + receipt.volume_bytes,
        "heldMilliseconds": receipt.held_milliseconds,
        "releasedInMilliseconds": receipt.released_in_milliseconds,
        "unverified": list(receipt.unverified),
    }
