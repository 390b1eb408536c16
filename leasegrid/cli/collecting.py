"""`leasegrid gc`: what runs have left on this machine is deleted, and said."""

import json
from collections.abc import Iterator

import click
import msgspec

from leasegrid.cli import words
from leasegrid.local.garbage import Collected, Remnant, collect
from leasegrid.local.state import StateDirectory


def collect_garbage(*, dry_run: bool, as_json: bool) -> int:
    """Delete what is over, or only say what would be deleted; returns the exit status. Raises StateDirectoryError."""
    state = StateDirectory.default()
    try:
        collected = collect(state, dry_run=dry_run)
    finally:
        state.close()
    if as_json:
        click.echo(json.dumps(document(collected, str(state.root), dry_run=dry_run)))
    else:
        for line in lines(collected, dry_run=dry_run):
            click.echo(line)
    return 0


def lines(collected: Collected, *, dry_run: bool) -> Iterator[str]:
    """What was deleted and what is kept, for people. Pure."""
    word = "would be freed" if dry_run else "freed"
    for one in collected.deleted:
        yield f"{one.what}: {one.why}: {words.size(one.byte_count)} {word}"
    for one in collected.in_use:
        yield f"kept: {one.what}: {one.why}, and it is in use by {_user(one)}"
    total = f"{words.size(collected.byte_count)} {word}" if collected.deleted else "nothing to delete"
    left = words.count(collected.leases_left, "lease")
    verb = "has" if collected.leases_left == 1 else "have"
    tail = f"; {left} with {words.size(collected.bytes_left)} {verb} not expired (leasegrid leases)"
    yield total + (tail if collected.leases_left else "")


def document(collected: Collected, root: str, *, dry_run: bool) -> dict[str, object]:
    """The same as a JSON document. Pure."""
    return {
        "stateDirectory": root,
        "dryRun": dry_run,
        "bytes": collected.byte_count,
        "deleted": [_entry(one) for one in collected.deleted],
        "inUse": [_entry(one) for one in collected.in_use],
        "leasesLeft": collected.leases_left,
        "bytesLeft": collected.bytes_left,
    }


def _entry(one: Remnant) -> dict[str, object]:
    entry: dict[str, object] = msgspec.to_builtins(one)
    return {"bytes" if key == "byte_count" else key: value for key, value in entry.items()}


def _user(one: Remnant) -> str:
    return f"process {one.process}" if one.process else "another process"
