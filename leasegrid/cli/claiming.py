"""`leasegrid claim`: a lease made, waited for, and shown."""

import asyncio
import getpass
import json
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import click

from leasegrid.api.loading import load_documents
from leasegrid.cli import lease_entries, words
from leasegrid.cli.cluster import LEASES, Cluster
from leasegrid.cli.cluster_runs import tell
from leasegrid.cli.holders import HolderPlace, place_of
from leasegrid.cli.lease_objects import ENDED, LeaseObject, Phase, is_same_order, manifest, read_lease
from tasklet_runner.wire.errors import CapacityExceededError, InvalidObjectError, LeaseEndedError, LeaseGridError
from tasklet_runner.wire.signed import public_text

NOTICE_SECONDS = 10.0
"""A lease that nobody has judged by then is waiting for an operator, and its holder is told so."""

_FIRST = ("amber", "brisk", "calm", "deft", "early", "fresh", "keen", "lucid", "nimble", "quiet", "swift", "warm")
_SECOND = ("aspen", "brook", "cedar", "dune", "finch", "heron", "larch", "otter", "robin", "stone", "wren", "yew")


@dataclass(frozen=True)
class Order:
    """What is claimed: the name, or empty for a random one, and the fields of the spec that were given."""

    name: str = ""
    spec: dict[str, Any] = field(default_factory=dict)


def order_of(name: str | None, pools: tuple[str, ...], requirements: dict[str, Any], fields: dict[str, Any]) -> Order:
    """The order in a command line; what was not given is left to the cluster. Raises InvalidObjectError, which names
    all faults.
    """
    wanted = {key: value for key, value in requirements.items() if value is not None}
    spec = {key: value for key, value in fields.items() if value is not None}
    if wanted:
        spec["requirements"] = wanted
    if pools:
        spec["poolRefs"] = [{"name": pool} for pool in pools]
    chosen = name or readable_name()
    loaded = load_documents(json.dumps(manifest(chosen, spec)), "claim")
    if loaded.faults:
        said = "; ".join(f"{fault.path}: {fault.message}" for fault in loaded.faults)
        raise InvalidObjectError(said, remedy="leasegrid claim --help")
    return Order(chosen, spec)


def readable_name() -> str:
    """A new name that a person can say: `brisk-otter-4f2a`."""
    return f"{secrets.choice(_FIRST)}-{secrets.choice(_SECOND)}-{secrets.token_hex(2)}"


async def claim(cluster: Cluster, order: Order, *, wait: bool, as_json: bool) -> int:
    """Claim, wait unless told otherwise, and say what there is; returns the exit status."""
    began = time.monotonic()
    lease, place = await made(cluster, order)
    if wait:
        lease = await settled(cluster, lease, place)
    if as_json:
        extra = {"holderKeyFile": str(place.path), "capabilities": list(lease.status.capabilities)}
        found = {**lease_entries.entry_of(lease).as_json(), **extra}
        click.echo(json.dumps({"context": cluster.context, "lease": found}))
    check_live(lease, place)
    if as_json:
        return 0
    took = words.duration(time.monotonic() - began)
    if lease.phase is Phase.BOUND:
        click.echo(f"lease {lease.name}: bound {words.count(len(lease.status.members), 'member')} after {took}")
        for line in lease_entries.bound_lines(lease, time.time()):
            click.echo(line)
    else:
        click.echo(f"lease {lease.name}: claimed, and not waited for")
    _say_next(cluster, lease.name)
    return 0


def _say_next(cluster: Cluster, name: str) -> None:
    where = cluster.where
    click.echo(f"  run on it:     {where.command('exec', name, 'FILE')}")
    click.echo(f"  keep it:       {where.command('renew', name)}")
    click.echo(f"  give it back:  {where.command('release', name, context=cluster.context)}")


async def made(cluster: Cluster, order: Order) -> tuple[LeaseObject, HolderPlace]:
    """The Lease object, and where its holder's key is kept. The same order again finds the same lease."""
    making = asyncio.ensure_future(_made(cluster, order))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        # What is on its way to the server would be made there, and nobody would know of it.
        await withdraw(cluster, *await making)
        raise


async def _made(cluster: Cluster, order: Order) -> tuple[LeaseObject, HolderPlace]:
    place = place_of(cluster.context, cluster.namespace, order.name)
    known = place.path.exists()
    key = place.make()
    spec = {"holderIdentity": _identity(), **order.spec, "holderKey": public_text(key)}
    try:
        raw, created = await cluster.create(LEASES, manifest(order.name, spec))
        if not created and not is_same_order(spec, raw["spec"]):
            raise _is_another(cluster, read_lease(raw))
    except LeaseGridError:
        if not known:
            place.remove()
        raise
    return read_lease(raw), place


async def settled(cluster: Cluster, lease: LeaseObject, place: HolderPlace) -> LeaseObject:
    """The lease once it is bound or has ended; one that is not waited for any more is withdrawn."""
    try:
        return await decided(cluster, lease.name, tell)
    except asyncio.CancelledError:
        await withdraw(cluster, lease, place)
        tell(f"lease {lease.name}: withdrawn")
        raise


def check_live(lease: LeaseObject, place: HolderPlace) -> None:
    """Raises CapacityExceededError for a lease that was refused, LeaseEndedError for one that ended; its key goes."""
    if lease.phase not in ENDED:
        return
    place.remove()
    if lease.phase is Phase.RELEASED:
        raise LeaseEndedError(f"the lease {lease.name!r} has ended: {lease.why}", remedy="claim one of another name")
    raise CapacityExceededError(f"the lease {lease.name!r} was refused: {lease.why}")


async def withdraw(cluster: Cluster, lease: LeaseObject, place: HolderPlace) -> None:
    """Take the lease back, whatever has become of it."""
    place.remove()
    try:
        await cluster.delete(LEASES, lease.name, lease.uid)
    except LeaseGridError as error:
        tell(f"lease {lease.name}: it could not be withdrawn and ends by itself: {error}")


async def decided(cluster: Cluster, name: str, say: Callable[[str], None]) -> LeaseObject:
    """The lease as soon as it is bound or has ended; `say` hears position and reason while it waits."""
    said = ""
    loop = asyncio.get_running_loop()
    notice = loop.call_later(NOTICE_SECONDS, say, f"lease {name}: no operator has judged it yet; does one run here?")
    try:
        async with aclosing(cluster.follow(LEASES, name)) as seen:
            async for raw in seen:
                if raw is None:
                    break
                lease = read_lease(raw)
                if lease.status.conditions:
                    notice.cancel()
                if lease.phase is Phase.BOUND or lease.phase in ENDED:
                    return lease
                if lease.why and lease.why != said:
                    said = lease.why
                    say(f"lease {name}: {_position(lease)}{said}")
    finally:
        notice.cancel()
    raise LeaseEndedError(f"the lease {name!r} was deleted while it waited", remedy="claim it again")


def _position(lease: LeaseObject) -> str:
    place = lease.status.queue_position
    return f"waiting, number {place} in the queue: " if place else "waiting: "


def _identity() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        user = "somebody"
    return f"{user}@{socket.gethostname()}"[:253]


def _is_another(cluster: Cluster, found: LeaseObject) -> InvalidObjectError:
    what = "has ended, and its object is still there" if found.phase in ENDED else "is not this order"
    return InvalidObjectError(
        f"there is a lease {found.name!r} in namespace {cluster.namespace!r} already; it {what}",
        remedy=f"choose another name, or end it: {cluster.where.command('terminate', found.name)}",
    )
