"""`leasegrid release NAME` on one machine: what the state directory keeps under a name is deleted."""

import json

import click

from leasegrid.cli import words
from leasegrid.cli.lease_entries import Entry
from leasegrid.cli.lease_objects import Phase
from leasegrid.local.state import STORES, KeptLease, StateDirectory
from leasegrid.local.volumes import try_hold
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.errors import InvalidObjectError, NoSuchObjectError, StateDirectoryError


def release_local(name: str, *, as_json: bool) -> int:
    """Delete what is kept under the name, `[NAMESPACE/]NAME` or its directory; returns the exit status.

    Raises NoSuchObjectError, InvalidObjectError (several have the name), StateDirectoryError (a process uses it).
    """
    state = StateDirectory.default()
    try:
        state.reap()
        lease = _named(state, name)
        receipt = _deleted(state, lease)
    finally:
        state.close()
    if as_json:
        entry = _entry(lease, receipt).as_json()
        click.echo(json.dumps({"stateDirectory": str(state.root), "lease": entry}))
    else:
        took = words.duration(receipt.released_in_milliseconds / 1000)
        click.echo(f"lease {lease.name}: released {words.size(receipt.volume_bytes)} in {took}, 0 left behind")
    return 0


def _named(state: StateDirectory, name: str) -> KeptLease:
    found = [lease for lease in state.kept() if name in _names(lease)]
    if not found:
        raise NoSuchObjectError(
            f"nothing is kept under the name {name!r} in {state.root}",
            remedy="leasegrid leases shows what is; a lease on a cluster: leasegrid release NAME --context CONTEXT",
        )
    if len(found) > 1:
        places = " and ".join(lease.directory or lease.uid for lease in found)
        raise InvalidObjectError(f"the name {name!r} stands for {places}", remedy="write one of these instead")
    return found[0]


def _names(lease: KeptLease) -> set[str]:
    named = {f"{lease.namespace}/{lease.name}", lease.uid, lease.directory or lease.uid}
    return named | {lease.name} if lease.namespace == "default" else named


def _deleted(state: StateDirectory, lease: KeptLease) -> Receipt:
    if lease.directory.startswith(STORES):
        return state.delete_lease(lease, "Released")
    volume = try_hold(state.root / lease.directory) if lease.directory else None
    if volume is None:
        user = f"process {lease.process}" if lease.process else "the command that claimed it"
        raise StateDirectoryError(f"the lease {lease.name!r} is in use by {user}", remedy="end that (Ctrl-C) first")
    return state.delete(volume, "Released")


def _entry(lease: KeptLease, receipt: Receipt) -> Entry:
    return Entry(
        uid=lease.uid,
        namespace=lease.namespace,
        name=lease.name,
        resource=lease.resource.value,
        purpose=lease.purpose,
        holder=lease.holder,
        state=Phase.RELEASED.value,
        reason=receipt.reason,
        acquired=lease.acquired,
        directory=lease.directory,
        receipt={
            "members": len(receipt.members),
            "volumes": receipt.volumes,
            "tasklets": receipt.tasklets,
            "bytesWiped": receipt.volume_bytes,
            "heldMilliseconds": receipt.held_milliseconds,
            "releasedInMilliseconds": receipt.released_in_milliseconds,
            "unverified": list(receipt.unverified),
        },
    )
