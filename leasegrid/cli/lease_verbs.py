"""What is done with a lease that is there: shown, renewed, released, terminated."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import click

from leasegrid.cli import lease_entries, words
from leasegrid.cli.cluster import LEASES, POOLS, Cluster
from leasegrid.cli.cluster_refusals import GROUP
from leasegrid.cli.holders import place_of, tidy
from leasegrid.cli.lease_objects import ENDED, LeaseObject, instant_of, read_lease
from tasklet_runner.wire.errors import ClusterError, LeaseEndedError

ANSWER_SECONDS = 30.0
"""So long a command waits for the operator after a lease's own grace is over."""


async def show_leases(cluster: Cluster, *, everywhere: bool, as_json: bool) -> int:
    """Print the leases of the namespace, or of all; returns the exit status."""
    leases = [read_lease(raw) for raw in await cluster.list(LEASES, everywhere=everywhere)]
    live = {lease.name for lease in leases if lease.namespace == cluster.namespace and lease.phase not in ENDED}
    tidy(cluster.context, cluster.namespace, live, time.time())
    if as_json:
        resources = await _resources(cluster, everywhere=everywhere)
        entries = [lease_entries.entry_of(lease, _resource(lease, resources)).as_json() for lease in leases]
        click.echo(json.dumps({"context": cluster.context, "namespace": cluster.namespace, "leases": entries}))
    elif leases:
        for line in lease_entries.table(leases, time.time()):
            click.echo(line)
    else:
        click.echo(f"no lease in {_place(cluster, everywhere)}")
    return 0


async def renew(cluster: Cluster, name: str, *, as_json: bool) -> int:
    """Renew a lease and say until when it runs; returns the exit status."""
    before = read_lease(await cluster.get(LEASES, name))
    lease = await renewed(cluster, before)
    if as_json:
        click.echo(json.dumps({"context": cluster.context, "lease": lease_entries.entry_of(lease).as_json()}))
    else:
        left = words.duration(max(0.0, (lease.expires or 0.0) - time.time()))
        click.echo(f"lease {name}: renewed, expires in {left} unless renewed again")
    return 0


async def renewed(cluster: Cluster, before: LeaseObject) -> LeaseObject:
    """The lease with its later deadline. Raises LeaseEndedError when it is over, ClusterError when nobody answers."""
    if before.phase in ENDED:
        raise _ended(before)
    await cluster.patch(LEASES, before.name, {"spec": {"renewTime": instant_of(time.time())}})
    known = (before.status.renew_time, before.status.expire_time)

    def is_answered(lease: LeaseObject) -> bool:
        return lease.phase in ENDED or (lease.status.renew_time, lease.status.expire_time) != known

    lease = await until(cluster, before.name, is_answered, "renew", ANSWER_SECONDS)
    if lease is None or lease.phase in ENDED:
        raise _ended(lease or before)
    return lease


async def release(cluster: Cluster, name: str, *, grace: int, as_json: bool) -> int:
    """Release a lease and print its receipt, of one that has ended already too; returns the exit status."""
    lease: LeaseObject | None = read_lease(await cluster.get(LEASES, name))
    if lease is not None and lease.phase not in ENDED:
        lease = await released(cluster, lease, grace)
    place_of(cluster.context, cluster.namespace, name).remove()
    if as_json:
        found = lease_entries.entry_of(lease).as_json() if lease is not None else None
        click.echo(json.dumps({"context": cluster.context, "lease": found}))
    elif lease is None:
        click.echo(f"lease {name}: released; its object was deleted, and its receipt is an Event on its pool")
    else:
        click.echo(lease_entries.receipt_line(lease))
    return 0


async def released(cluster: Cluster, lease: LeaseObject, grace: int) -> LeaseObject | None:
    """The lease once it is released, None when its object was deleted meanwhile. Raises ClusterError."""
    await cluster.patch(LEASES, lease.name, {"spec": {"revoke": {"graceSeconds": grace}}})
    return await until(cluster, lease.name, lambda now: now.phase in ENDED, "release", grace + ANSWER_SECONDS)


async def terminate(cluster: Cluster, name: str, *, as_json: bool) -> int:
    """Delete a lease: its members are freed at once; returns the exit status."""
    lease = read_lease(await cluster.get(LEASES, name))
    await cluster.delete(LEASES, name, lease.uid)
    place_of(cluster.context, cluster.namespace, name).remove()
    if as_json:
        click.echo(json.dumps({"context": cluster.context, "lease": lease_entries.entry_of(lease).as_json()}))
    else:
        members = words.count(len(lease.status.members), "member")
        click.echo(f"lease {name}: deleted; {members} freed at once (the receipt is an Event on the pool)")
    return 0


async def until(
    cluster: Cluster, name: str, is_done: Callable[[LeaseObject], bool], verb: str, seconds: float
) -> LeaseObject | None:
    """The lease as soon as that holds, None when it was deleted. Raises ClusterError after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            async with aclosing(cluster.follow(LEASES, name)) as seen:
                async for raw in seen:
                    if raw is None or is_done(read_lease(raw)):
                        return read_lease(raw) if raw is not None else None
    except TimeoutError as error:
        raise ClusterError(
            f"the operator did not {verb} the lease {name!r} within {words.duration(seconds)}",
            remedy=f"see whether it runs; kubectl describe leases.{GROUP} {name} --namespace {cluster.namespace} says "
            "more, and members free themselves at the lease's deadline",
        ) from error
    return None


def _ended(lease: LeaseObject) -> LeaseEndedError:
    return LeaseEndedError(
        f"the lease {lease.name!r} has ended: {lease.why or 'it was deleted'}", remedy="claim another: leasegrid claim"
    )


def _place(cluster: Cluster, everywhere: bool) -> str:
    where = "any namespace" if everywhere else f"namespace {cluster.namespace!r}"
    return f"{where} of context {cluster.context!r}"


async def _resources(cluster: Cluster, *, everywhere: bool) -> dict[tuple[str, str], str]:
    pools: list[dict[str, Any]] = await cluster.list(POOLS, everywhere=everywhere)
    return {
        (raw["metadata"]["namespace"], raw["metadata"]["name"]): raw["spec"].get("resource", "CPU") for raw in pools
    }


def _resource(lease: LeaseObject, resources: dict[tuple[str, str], str]) -> str:
    named = [resources.get((lease.namespace, pool.name), "") for pool in lease.spec.pool_refs]
    return next(filter(None, named), "")
