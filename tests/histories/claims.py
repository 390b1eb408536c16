"""What a history says of claims: who was bound when, and from when to when a claim stood for certain. Pure.

A member converts the instants of statements by the moment at which it took the bind. That moment lies between the
bind's beginning and its answer, so each deadline has an earliest and a latest instant on the history's clock.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.histories.history import HOLDERS, WAITS, Entry, Operation

CLOCK_SECONDS = 0.001
"""Instants of statements are floating-point UNIX seconds: sums of them are no finer."""

PROVISIONAL_SECONDS = 5.0
"""A bind that nobody confirms is undone then, by the protocol."""

ClaimId = tuple[str, str, int]
"""Member, incarnation, epoch."""

_EXTENDING = HOLDERS | {Operation.RENEW}
_CONFIRMING = _EXTENDING | {Operation.CONFIRM}
_SHOWING = _CONFIRMING | {Operation.BIND}


@dataclass(frozen=True)
class Seen:
    """An entry, and since when its member can have dealt with it: what waited in between is taken off."""

    entry: Entry
    reached: float

    @property
    def completed(self) -> float:
        """When the answer was there."""
        return self.entry.completed


@dataclass
class Claim:
    """Everything about one epoch of one member. `binds`: those that can have made it."""

    identity: ClaimId
    binds: list[Seen] = field(default_factory=list)
    others: list[Seen] = field(default_factory=list)

    @property
    def lease(self) -> str:
        """Whose it is; empty of a member that is free."""
        return next((one.entry.lease for one in (*self.binds, *self.others) if one.entry.lease), "")

    @property
    def began_by(self) -> float:
        """At the latest then it stood; infinite when nobody knows."""
        return min((one.completed for one in (*self.binds, *self.others) if _shows_claim(one.entry)), default=math.inf)

    @property
    def began_after(self) -> float:
        """Not before it stood."""
        return min((bind.reached for bind in self.binds), default=math.inf)

    def released(self, *, surely: bool) -> float:
        """The instant of its release: the latest one, by an answer (`surely`), or the earliest possible one."""
        releases = [one for one in self.others if one.entry.operation is Operation.RELEASE]
        if surely:
            return min((one.completed for one in releases if one.entry.ok), default=math.inf)
        return min((one.reached for one in releases if one.entry.ok or not one.entry.heard), default=math.inf)

    def free(self) -> float:
        """Then the member had said that this claim is over."""
        said = (one for one in self.others if one.entry.operation is Operation.STATE and not one.entry.lease)
        return min((one.completed for one in said), default=math.inf) if self.binds else math.inf

    def ends_by(self) -> float:
        """The latest instant at which it can have ended by its deadline, whatever extended it in time."""
        at_most = self.began_by
        ends = max((at_most + one.entry.deadline - one.entry.issued_at for one in self.binds), default=math.inf)
        earliest = min((one.entry.issued_at for one in self.binds), default=0.0)
        for shown in sorted(self._shown(), key=lambda one: one.reached):
            if shown.reached <= ends:
                ends = max(ends, at_most + shown.entry.deadline - earliest)
        return ends

    def lasts_until(self, now: float) -> float:
        """It stood until then for certain, unless it was released, by what was acknowledged before `now`."""
        if not self.binds or self.began_by > now:
            return -math.inf
        begin = self.began_after
        lasts = min(begin + one.entry.deadline - one.entry.issued_at for one in self.binds)
        latest = max(one.entry.issued_at for one in self.binds)
        for shown in self._shown():
            if shown.entry.ok and shown.completed <= now:
                lasts = max(lasts, begin + shown.entry.deadline - latest)
        return lasts if self._confirmed_by(now) else min(lasts, begin + PROVISIONAL_SECONDS)

    def stood(self, one: Seen) -> bool:
        """It stood for certain until this was answered."""
        return one.completed < min(self.lasts_until(one.reached), self.released(surely=False)) - CLOCK_SECONDS

    def _shown(self) -> list[Seen]:
        """A renewal that was refused moved nothing; of other refusals nobody knows what was shown before."""
        return [
            one
            for one in self.others
            if one.entry.operation in _EXTENDING
            and one.entry.deadline > 0
            and not (one.entry.operation is Operation.RENEW and one.entry.heard and not one.entry.ok)
        ]

    def _confirmed_by(self, now: float) -> bool:
        return any(one.entry.operation in _CONFIRMING and one.entry.ok and one.completed <= now for one in self.others)


def _shows_claim(entry: Entry) -> bool:
    """The answer could not have been given before the bind."""
    if entry.operation is Operation.STATE:
        return bool(entry.lease)
    return entry.ok and entry.operation in _SHOWING


def seen(entries: Sequence[Entry]) -> list[Seen]:
    """Each entry that a member dealt with, with the instant from which it can have done so."""
    waits = [entry for entry in entries if entry.operation in WAITS]
    return [Seen(entry, _reached(entry, waits)) for entry in entries if entry.operation not in WAITS]


def _reached(entry: Entry, waits: Sequence[Entry]) -> float:
    """What begins while its way or its member stands still is dealt with after that, and so on."""
    mine = [wait for wait in waits if wait.member == entry.member and _holds(wait, entry)]
    at, moved = entry.invoked, True
    while moved:
        until = max((wait.completed for wait in mine if wait.invoked <= at < wait.completed), default=at)
        at, moved = max(at, until), until > at
    # An answer cannot come before the question: such a wait was none.
    return at if at <= entry.completed else entry.invoked


def _holds(wait: Entry, entry: Entry) -> bool:
    return wait.operation is Operation.STOPPED or wait.who == entry.who


def claims(history: Iterable[Seen]) -> dict[ClaimId, Claim]:
    """Every claim that was ordered, or of which a member spoke."""
    found: dict[ClaimId, Claim] = defaultdict(lambda: Claim(("", "", 0)))
    for one in history:
        entry = one.entry
        if not entry.member or not entry.epoch:
            continue
        identity = (entry.member, entry.incarnation, entry.epoch)
        if identity not in found:
            found[identity] = Claim(identity)
        if entry.operation is not Operation.BIND:
            found[identity].others.append(one)
        elif entry.ok or not entry.heard:
            found[identity].binds.append(one)
    return dict(found)
