"""What is done with pools: shown, watched, drained."""

import asyncio
import json
import sys
import time
from contextlib import aclosing

import click

from leasegrid.api.enums import OperatingMode
from leasegrid.cli import pool_objects, words
from leasegrid.cli.cluster import LEASES, POOLS, Cluster
from leasegrid.cli.cluster_runs import tell
from leasegrid.cli.lease_objects import read_lease
from leasegrid.cli.pool_objects import PoolObject, read_pool
from tasklet_runner.wire.errors import NoSuchObjectError

SECONDS_BETWEEN_LOOKS = 2.0
_CLEAR = "\x1b[H\x1b[2J"


async def show_pools(cluster: Cluster, *, everywhere: bool, as_json: bool) -> int:
    """Print the pools of the namespace, or of all; returns the exit status."""
    pools = await _pools(cluster, everywhere=everywhere)
    if as_json:
        document = {"context": cluster.context, "namespace": cluster.namespace, "pools": [p.as_json() for p in pools]}
        click.echo(json.dumps(document))
    elif pools:
        for line in pool_objects.table(pools):
            click.echo(line)
    else:
        click.echo(f"no pool in {_place(cluster, everywhere=everywhere)}")
    return 0


async def top(cluster: Cluster, *, everywhere: bool, watch: bool, as_json: bool) -> int:
    """Print who holds what, once or again and again; returns the exit status."""
    while True:
        pools = await _pools(cluster, everywhere=everywhere)
        leases = [read_lease(raw) for raw in await cluster.list(LEASES, everywhere=everywhere)]
        held = pool_objects.held_members(leases, pools)
        if as_json:
            members = [pool_objects.held_json(one) for one in held]
            shown = json.dumps({"context": cluster.context, "pools": [p.as_json() for p in pools], "members": members})
        else:
            shown = "\n".join(pool_objects.top_lines(held, pools, time.time()))
        click.echo(f"{_CLEAR}{shown}" if watch and not as_json and sys.stdout.isatty() else shown)
        if not watch:
            return 0
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)


async def drain(cluster: Cluster, name: str, *, undo: bool, wait: bool, as_json: bool) -> int:
    """Drain a pool, or end its draining; returns the exit status. `wait`: until only claimed members are left."""
    mode = OperatingMode.ACTIVE if undo else OperatingMode.DRAINING
    pool = read_pool(await cluster.patch(POOLS, name, {"spec": {"operatingMode": mode.value}}))
    if wait and not undo:
        pool = await _drained(cluster, name)
    if as_json:
        click.echo(json.dumps({"context": cluster.context, "pool": pool.as_json()}))
    else:
        click.echo(f"pool {name}: {_said(pool, undo=undo, wait=wait)}")
    return 0


def _said(pool: PoolObject, *, undo: bool, wait: bool) -> str:
    if undo:
        return "Active again: members are made and claims are taken"
    claimed = words.count(pool.status.members.claimed, "member")
    if wait and not pool.status.members.claimed:
        return "drained; no member is left"
    if wait:
        return f"drained but for {claimed} under lease, until released"
    return f"Draining: idle members end, claims are refused; {claimed} under lease, until released"


async def _drained(cluster: Cluster, name: str) -> PoolObject:
    said = -1
    async with aclosing(cluster.follow(POOLS, name)) as seen:
        async for raw in seen:
            if raw is None:
                break
            pool = read_pool(raw)
            if pool.judged and pool.unclaimed == 0:
                return pool
            if pool.unclaimed != said:
                said = pool.unclaimed
                tell(f"pool {name}: {words.count(said, 'unclaimed member')} left")
    raise NoSuchObjectError(f"the pool {name!r} was deleted while it drained", remedy="its members end with it")


async def _pools(cluster: Cluster, *, everywhere: bool) -> list[PoolObject]:
    return [read_pool(raw) for raw in await cluster.list(POOLS, everywhere=everywhere)]


def _place(cluster: Cluster, *, everywhere: bool) -> str:
    where = "any namespace" if everywhere else f"namespace {cluster.namespace!r}"
    return f"{where} of context {cluster.context!r}"
