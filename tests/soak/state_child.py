"""Does with a state directory what commands do: keys, terms, Block leases and their volumes; and says what is kept."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.state import StateDirectory
from leasegrid.local.volumes import Volume, translated, write_durably
from tasklet_runner.durable.disk import sync_directory
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.signed import public_text
from tests.support.faults.nursery import say

JOB = ("default", "job")
LONG = 10_000.0


def run(directory: str) -> None:
    """Three commands, one after the other."""
    for command in (_first, _second, _third):
        _tried(command, Path(directory) / "leasegrid")


def row(uid: str, name: str, expires: float | None) -> LeaseRow:
    """A Block lease as it is entered."""
    return LeaseRow(uid=uid, resource=Resource.BLOCK, name=name, acquired=time.time(), expires=expires)


def _first(state: StateDirectory) -> None:
    said("key", public_text(state.key))
    volume = state.hold_job(*JOB)
    said("term", volume.term)
    _fill(volume)
    state.enter_all([volume], row("l-job", JOB[1], None), 0.0)
    said("lease", "l-job")
    stores = [state.make_store(), state.make_store()]
    for store in stores:
        _fill(store)
    state.enter_all(stores, row("l-data", "data", time.time() + LONG), LONG)
    said("lease", "l-data")
    for each in (volume, *stores):
        each.release()
    state.close()


def _second(state: StateDirectory) -> None:
    state.reap()
    volume = state.hold_job(*JOB)
    said("term", volume.term)
    held: list[Volume] = []
    if (found := state.kept_store("default", "data")) is not None:
        held = state.hold_stores(found)
        state.enter_all(held, row("l-data", "data", time.time() + 2 * LONG), LONG)
        said("lease", "l-data")
    for each in (volume, *held):
        each.release()
    state.close()


def _third(state: StateDirectory) -> None:
    state.reap()
    volume = state.hold_job(*JOB)
    said("term", volume.term)
    state.delete(volume, "Released")
    said("deleted", "l-job")
    state.close()


def _fill(volume: Volume) -> None:
    with translated("the bytes of a test", volume.path):
        volume.store.mkdir(exist_ok=True)
        write_durably(volume.store / "data", b"bytes")
        sync_directory(volume.path)


def said(what: str, which: str | int) -> None:
    """Acknowledge it."""
    say(json.dumps({"what": what, "which": which}))


def _tried(command: Callable[[StateDirectory], None], root: Path) -> None:
    """A command that may end with a typed error."""
    try:
        command(StateDirectory(root))
    except LeaseGridError as error:
        say(json.dumps({"what": "refused", "which": f"{error.code} {error}"[:200]}))
