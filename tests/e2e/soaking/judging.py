"""Judges what was seen of a shaken cluster: pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tasklet_runner.wire.signed import decode_base64url
from tasklet_runner.wire.statements import Capability
from tests.e2e.kind_rig import Object
from tests.soak.tally import Findings, doubled, lost, wrong


@dataclass(frozen=True, order=True)
class Bind:
    """A member's epoch, and the lease that had it. `incarnation`: of the member's process."""

    member: str
    incarnation: str
    epoch: int
    lease: str


def binds(lease: Object) -> frozenset[Bind]:
    """Those that the capabilities in a lease's status speak of."""
    return frozenset(
        Bind(grant.member, grant.incarnation, grant.epoch, one.lease_uid)
        for text in lease.get("status", {}).get("capabilities", ())
        for one in [_statement(text)]
        for grant in one.members
    )


def _statement(text: str) -> Capability:
    # Whose signature it bears is the members' business: here it is only read.
    payload = text.split(".")[1]
    return msgspec.json.decode(decode_base64url(payload), type=Capability)


def two_holders(seen: Iterable[Bind]) -> Findings:
    """An epoch of a member is one lease's."""
    leases: dict[tuple[str, str, int], set[str]] = {}
    for one in seen:
        leases.setdefault((one.member, one.incarnation, one.epoch), set()).add(one.lease)
    return doubled(f"{key} was bound for {sorted(which)}" for key, which in leases.items() if len(which) > 1)


@dataclass(frozen=True)
class Asked:
    """What a job was given: line i is chunk i's, and comes out of it as it went in."""

    name: str
    lines: tuple[str, ...]


def lost_its_memory(status: Object) -> bool:
    """A job without a volume says so when the member is lost that had its outputs in memory: that is no loss in
    silence, and whoever wants to be spared it gives the job a volume.
    """
    said = status.get("conditions", ())
    return any((one["type"], one["status"], one["reason"]) == ("Failed", "True", "StoreUnavailable") for one in said)


def complete(status: Object) -> bool:
    """Whether a job has ended well."""
    return any((one["type"], one["status"]) == ("Complete", "True") for one in status.get("conditions", ()))


def finished(asked: Asked, status: Object) -> Findings:
    """A job's end, with its outputs in its status: each chunk's once, and the counts say so."""
    outputs = json.loads(status.get("outputs") or "[]")
    indexes = [one["index"] for one in outputs]
    twice = [f"{asked.name}: the output of chunk {index}" for index in set(indexes) if indexes.count(index) > 1]
    return doubled(twice) + fetched(asked, status, {str(one["index"]): one.get("text", "") for one in outputs})


def fetched(asked: Asked, status: Object, outputs: Mapping[str, str]) -> Findings:
    """A job's end, with its outputs by their chunks' numbers."""
    if not complete(status):
        return lost([f"{asked.name} is not complete: {status.get('conditions')}"])
    right = {str(index): line for index, line in enumerate(asked.lines)}
    missing = [f"{asked.name}: the output of chunk {index}" for index in right if index not in outputs]
    others = [f"{asked.name}: {index}: {text}" for index, text in outputs.items() if text != right.get(index, text)]
    strange = [f"{asked.name}: the output of chunk {index}" for index in outputs if index not in right]
    counts = status["chunks"]
    if (counts["total"], counts["succeeded"], counts["failed"]) != (len(right), len(right), 0):
        others.append(f"{asked.name}: its counts are {counts}")
    return lost(missing) + doubled(strange) + wrong(others)


def summed(asked: Asked, status: Object) -> Findings:
    """A graph's end: it is complete, and each of its tasks has succeeded with all its chunks."""
    if not complete(status):
        return lost([f"{asked.name} is not complete: {status.get('conditions')}"])
    lines = "".join(one.get("text", "") for one in json.loads(status.get("outputs") or "[]"))
    if sorted(lines.splitlines()) != sorted("".join(asked.lines).splitlines()):
        return wrong([f"{asked.name}: what came out is {lines!r}"])
    return Findings()


def left_over(before: Iterable[str], after: Iterable[str]) -> Findings:
    """Names of objects that are there and were not."""
    return doubled(f"left behind: {name}" for name in sorted(set(after) - set(before)))


def strangers(processes: Sequence[str], pods: Iterable[str]) -> Findings:
    """Members' processes, by the names that they were given, of which there is no pod."""
    return doubled(f"a process of {name} runs on" for name in processes if name not in set(pods))
