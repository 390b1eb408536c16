"""Rooms for requests, and purses of callers; both bounded, whoever comes."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from leasegrid_operator.broker.limits import Room
from leasegrid_operator.broker.rates import Purse, Rate, pay
from tasklet_runner.plan.shares import has_room
from tasklet_runner.wire.errors import OverloadedError

ROOM_RETRY_SECONDS = 1.0


class Lane:
    """A room: counts who is in it. `name` says for what, in refusals."""

    def __init__(self, name: str, room: Room) -> None:
        self._name = name
        self._room = room
        self._present: Counter[str] = Counter()
        self._of_namespace: Counter[str] = Counter()
        self.total = 0

    @contextmanager
    def enter(self, caller: str, namespace: str = "") -> Iterator[None]:
        """Be in the room. Raises OverloadedError when it is full, or this caller or namespace has its share.

        Whatever many callers of one namespace do, there is a place for those of another (`plan.shares`).
        """
        mine = self._present[caller]
        if self.total >= self._room.total:
            raise _crowded(f"the broker has {self.total} {self._name} at once, as many as it takes", ROOM_RETRY_SECONDS)
        if mine >= self._room.of_one:
            raise _crowded(f"{caller} has {mine} {self._name} at once, as many as one may", ROOM_RETRY_SECONDS)
        if namespace and not has_room(self._of_namespace[namespace], self.total, self._room.total):
            theirs = self._of_namespace[namespace]
            raise _crowded(f"{namespace} has {theirs} {self._name} at once, its share of the room", ROOM_RETRY_SECONDS)
        self._count(caller, namespace, 1)
        try:
            yield
        finally:
            self._count(caller, namespace, -1)

    def _count(self, caller: str, namespace: str, step: int) -> None:
        self.total += step
        for counter, name in ((self._present, caller), (self._of_namespace, namespace)):
            counter[name] += step
            if not counter[name]:
                del counter[name]


class Purses:
    """What callers have left, the `most` latest ones; one that is forgotten starts anew with a full purse."""

    def __init__(self, rate: Rate, most: int) -> None:
        self._rate = rate
        self._most = most
        self._purses: OrderedDict[str, Purse] = OrderedDict()

    def charge(self, caller: str, now: float) -> None:
        """One request of a caller. Raises OverloadedError when it comes too early."""
        payment = pay(self._purses.get(caller), self._rate, now)
        self._purses[caller] = payment.purse
        self._purses.move_to_end(caller)
        if len(self._purses) > self._most:
            self._purses.popitem(last=False)
        if payment.too_early:
            raise _crowded(f"{caller} asks more than {self._rate.per_second:g} times a second", payment.too_early)


def _crowded(cause: str, retry_after: float) -> OverloadedError:
    return OverloadedError(cause, remedy=f"try again in {max(retry_after, 0.001):.3g} s", retry_after=retry_after)
