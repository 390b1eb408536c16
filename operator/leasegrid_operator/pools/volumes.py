"""Store members under lease: handed to their lease, followed by a successor when lost, and gone without a trace.

Once a lease has them, pod and claim belong to it alone: garbage collection then finishes what a dead operator could
not.
"""

import asyncio
from dataclasses import dataclass

from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import AlreadyExistsError, ConflictError, NotFoundError
from leasegrid_operator.pools.naming import BOUND_LABEL, LEASE_UID_LABEL
from leasegrid_operator.pools.pods import Body, MemberTemplate, Owner
from leasegrid_operator.pools.reading import ENDED_PHASES, ClaimFacts, PodFacts, read_claim
from leasegrid_operator.resources import CLAIMS, PODS, VOLUMES, ObjectKey, Resource

FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.05, 1.0


@dataclass(frozen=True)
class StoreMember:
    """A store member's pod, and its claim if it has one (Block)."""

    pod: PodFacts
    claim: ClaimFacts | None = None


async def reparent(cluster: Cluster, member: StoreMember, lease: Owner) -> None:
    """Make the lease the sole owner of a member's claim and pod, and mark the claim. Done again, it changes nothing.

    The claim goes first: should the operator die between the two, the pod is found beside a claim that has an owner.

    Raises:
        NotFoundError: one of them is gone.
        ConflictError: another has its name by now.
        ClusterError: it could not be written.
    """
    if member.claim is not None and not member.claim.bound:
        await _hand_over(cluster, CLAIMS, member.pod.namespace, member.claim, lease)
    if member.pod.owner_uid != lease.uid:
        await _hand_over(cluster, PODS, member.pod.namespace, member.pod, lease)


async def succeed(cluster: Cluster, template: MemberTemplate, lost: StoreMember, lease: Owner) -> str | None:
    """Make a pod that serves a lost one's claim, once that is gone or has ended; returns its name, or None for not yet.

    Two servers of one volume would be worse than none: while nobody knows whether the old one runs, there is no
    successor. Done again, it returns the same name.

    Raises:
        NotFoundError: the claim is gone, and with it the data.
        ClusterError: the pod could not be made.
    """
    if lost.claim is None:
        raise NotFoundError(f"the member {lost.pod.name} has no volume", remedy="acquire a new lease")
    if not await _has_ended(cluster, lost.pod):
        return None
    await cluster.get(CLAIMS, ObjectKey(lost.pod.namespace, lost.claim.name))
    name = successor_name(lost.pod.name, lost.claim.name)
    try:
        await cluster.create(PODS, template.successor(name, lost.claim.name, lease))
    except AlreadyExistsError:
        return name
    return name


def successor_name(name: str, claim: str) -> str:
    """The name of the pod that follows one on the same claim: `<claim>-s1`, `-s2` …"""
    stem, _, number = name.rpartition("-s")
    count = int(number) if stem == claim and number.isdecimal() else 0
    return f"{claim}-s{count + 1}"


def claim_name(name: str) -> str:
    """The claim that a member of this name serves: its own, or that of the first one before it."""
    stem, _, number = name.rpartition("-s")
    return stem if stem and number.isdecimal() else name


async def end_store(cluster: Cluster, member: StoreMember, seconds: float) -> bool:
    """Delete a member's pod and claim, and look whether both, and the volume, are gone; False when one is not in time.

    Raises:
        ClusterError: the API server could not be asked.
    """
    await _delete(cluster, PODS, member.pod.namespace, member.pod)
    claim = None
    if member.claim is not None:
        claim = await _with_volume(cluster, member.pod.namespace, member.claim)
        await _delete(cluster, CLAIMS, member.pod.namespace, claim)
    try:
        async with asyncio.timeout(seconds):
            await _until_gone(cluster, PODS, ObjectKey(member.pod.namespace, member.pod.name), member.pod.uid)
            if claim is not None:
                await _until_volume_gone(cluster, member.pod.namespace, claim)
    except TimeoutError:
        return False
    return True


async def _with_volume(cluster: Cluster, namespace: str, claim: ClaimFacts) -> ClaimFacts:
    """What was seen of the claim last may be older than its volume."""
    if claim.volume:
        return claim
    try:
        found = read_claim(await cluster.get(CLAIMS, ObjectKey(namespace, claim.name)))
    except NotFoundError:
        return claim
    return found if found is not None and found.uid == claim.uid else claim


async def _until_volume_gone(cluster: Cluster, namespace: str, claim: ClaimFacts) -> None:
    await _until_gone(cluster, CLAIMS, ObjectKey(namespace, claim.name), claim.uid)
    if claim.volume:
        await _until_gone(cluster, VOLUMES, ObjectKey("", claim.volume), "")


async def _until_gone(cluster: Cluster, resource: Resource, key: ObjectKey, uid: str) -> None:
    pause = FIRST_POLL_SECONDS
    while True:
        try:
            found = await cluster.get(resource, key)
        except NotFoundError:
            return
        if uid and found["metadata"]["uid"] != uid:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_POLL_SECONDS)


async def _has_ended(cluster: Cluster, pod: PodFacts) -> bool:
    try:
        found = await cluster.get(PODS, ObjectKey(pod.namespace, pod.name))
    except NotFoundError:
        return True
    another = bool(pod.uid) and found["metadata"]["uid"] != pod.uid
    return another or (found.get("status") or {}).get("phase") in ENDED_PHASES


async def _hand_over(
    cluster: Cluster, resource: Resource, namespace: str, facts: PodFacts | ClaimFacts, lease: Owner
) -> None:
    if not facts.uid:
        return
    # With its uid the patch changes this object or none.
    metadata: Body = {
        "uid": facts.uid,
        "ownerReferences": [lease.reference],
        "labels": {LEASE_UID_LABEL: lease.uid, **({BOUND_LABEL: "true"} if resource is CLAIMS else {})},
    }
    await cluster.patch(resource, ObjectKey(namespace, facts.name), {"metadata": metadata})


async def _delete(cluster: Cluster, resource: Resource, namespace: str, facts: PodFacts | ClaimFacts) -> None:
    try:
        await cluster.delete(resource, ObjectKey(namespace, facts.name), uid=facts.uid)
    except (NotFoundError, ConflictError):
        return
