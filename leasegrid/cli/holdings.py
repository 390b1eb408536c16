"""`leasegrid leases`: what the state directory still holds, with what, and until when."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from leasegrid.cli import words
from leasegrid.cli.lease_entries import Entry
from leasegrid.cli.tables import columns
from leasegrid.local.books import Resource
from leasegrid.local.state import STORES, KeptLease, StateDirectory
from tasklet_runner.store.inspection import cached_results, committed_chunks

_HEADINGS = ("LEASE", "RESOURCE", "HOLDS", "UNTIL", "USED BY")


@dataclass(frozen=True)
class Holding:
    """One lease that has not ended. `content` in words; `chunks`: outcomes of a job or results of a cache."""

    lease: KeptLease
    chunks: int
    content: str


def show_leases(*, as_json: bool) -> int:
    """Print every lease of the state directory, having ended those that are over; returns the exit status."""
    state = StateDirectory.default()
    try:
        state.reap()
        holdings = [_holding(state, lease) for lease in state.kept()]
    finally:
        state.close()
    if as_json:
        entries = [_entry(held).as_json() for held in holdings]
        click.echo(json.dumps({"stateDirectory": str(state.root), "leases": entries}))
    elif holdings:
        for line in table(holdings, time.time()):
            click.echo(line)
    else:
        click.echo(f"nothing is held in {state.root}")
    return 0


def _holding(state: StateDirectory, lease: KeptLease) -> Holding:
    if lease.resource is not Resource.BLOCK:
        return Holding(lease, 0, words.count(len(lease.members), "member"))
    if lease.directory.startswith(STORES):
        volumes = words.count(len(lease.directory.split()), "volume")
        return Holding(lease, 0, f"{volumes}, {words.size(lease.volume_bytes)}")
    if lease.directory.startswith("caches/"):
        results = cached_results(state.root / lease.directory / "store")
        return Holding(lease, results, f"{words.count(results, 'result')}, {words.size(lease.volume_bytes)}")
    chunks = committed_chunks(state.root / lease.directory / "store")
    return Holding(lease, chunks, f"{words.count(chunks, 'chunk')}, {words.size(lease.volume_bytes)}")


def table(holdings: Sequence[Holding], now: float) -> list[str]:
    """The holdings in columns, a heading above; `now` in UNIX seconds."""
    return columns(_HEADINGS, [_row(held, now) for held in holdings])


def _row(held: Holding, now: float) -> tuple[str, ...]:
    lease = held.lease
    user = f"process {lease.process}" if lease.process else ""
    name = lease.name if lease.namespace == "default" else f"{lease.namespace}/{lease.name}"
    what = f"{name} ({lease.purpose})" if lease.purpose else name
    return what, lease.resource.value, held.content, _until(lease, now), user


def _until(lease: KeptLease, now: float) -> str:
    if lease.expires is None:
        return "its job is run again"
    return f"in {words.duration(max(0.0, lease.expires - now))}"


def _entry(held: Holding) -> Entry:
    lease = held.lease
    return Entry(
        uid=lease.uid,
        namespace=lease.namespace,
        name=lease.name,
        resource=lease.resource.value,
        purpose=lease.purpose,
        holder=lease.holder,
        wanted=len(lease.members),
        members=lease.members,
        chunks=held.chunks,
        volume_bytes=lease.volume_bytes,
        directory=lease.directory,
        acquired=lease.acquired,
        expires=lease.expires,
        process=lease.process,
    )
