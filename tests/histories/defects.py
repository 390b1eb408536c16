"""Members with a defect that a campaign must find: one that finds nothing in them proves nothing.

`python -m tests.histories.defects zygote …` is the program, with the defect that `FENCING_DEFECT` names.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from tasklet_runner.__main__ import main
from tasklet_runner.durable.locks import FileLock
from tasklet_runner.member.job_door import JobDoor
from tasklet_runner.member.shelf import Shelf
from tasklet_runner.member.states import Claim, MemberStates
from tasklet_runner.member.wiping import wipe
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.wire.statements import Bind
from tests.histories.verdicts import Rule

VARIABLE = "FENCING_DEFECT"
MODULE = "tests.histories.defects"


def binds_whoever_asks() -> None:
    """A claimed member is bound again at the same epoch by whoever asks last."""
    bind = MemberStates.bind

    def bound(states: MemberStates, order: Bind, now: float) -> object:
        if states.claim is not None and order.epoch == states.epoch:
            states.claim = replace(states.claim, lease_uid=order.lease_uid, holder_key=order.holder_key)
        return bind(states, order, now)

    MemberStates.bind = bound  # type: ignore[method-assign,assignment]  # a defect on purpose


def keeps_no_deadline() -> None:
    """Claims last three seconds longer than they should."""
    ends_at = Claim.ends_at.fget  # type: ignore[attr-defined]  # the property's own
    Claim.ends_at = property(lambda claim: ends_at(claim) + 3.0)  # type: ignore[assignment,method-assign]  # as above


def obeys_any_term() -> None:
    """A store takes what any coordinator writes."""
    DiskStore.write_from = _open_to_all  # type: ignore[method-assign,assignment]  # as above
    JobDoor._current = _current_to_all  # type: ignore[method-assign,assignment]  # as above


def _open_to_all(store: DiskStore, term: int) -> None:
    """As if the term were the newest."""


def _current_to_all(door: JobDoor, request: web.Request) -> DiskStore:
    door._access.require_session(request)
    return door._shelf.store


def ends_early() -> None:
    """Claims last a fifth of what they should."""
    ends_at = Claim.ends_at.fget  # type: ignore[attr-defined]  # the property's own
    early = property(lambda claim: claim.bound_at + (ends_at(claim) - claim.bound_at) / 5)
    Claim.ends_at = early  # type: ignore[assignment,method-assign]  # as above


def serves_beside_another() -> None:
    """A store takes a volume that another one serves."""
    FileLock.__init__ = _lock_nothing  # type: ignore[method-assign,assignment]  # as above


def _lock_nothing(lock: FileLock, path: Path, what: str) -> None:
    del what
    lock._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def counts_from_the_beginning() -> None:
    """The next server of a volume does not go on at the epoch that is written there."""
    Shelf.epoch = property(lambda shelf: 0)  # type: ignore[assignment,method-assign]  # as above


def begins_empty() -> None:
    """The next server of a volume wipes what it finds."""
    opened = Shelf._open

    def wiped(shelf: Shelf) -> DiskStore:
        if shelf._directory.exists():
            wipe(shelf._directory)
        return opened(shelf)

    Shelf._open = wiped  # type: ignore[method-assign,assignment]  # as above


DEFECTS = {
    "binds_whoever_asks": (binds_whoever_asks, Rule.ONE_HOLDER),
    "keeps_no_deadline": (keeps_no_deadline, Rule.OVER),
    "obeys_any_term": (obeys_any_term, Rule.NO_OLDER_TERM),
    "ends_early": (ends_early, Rule.READABLE),
    "serves_beside_another": (serves_beside_another, Rule.ONE_SERVER),
    "counts_from_the_beginning": (counts_from_the_beginning, Rule.ONE_HOLDER),
    "begins_empty": (begins_empty, Rule.READABLE),
}
"""Each with the rule that it breaks."""


if __name__ == "__main__":
    DEFECTS[os.environ[VARIABLE]][0]()
    sys.exit(main())
