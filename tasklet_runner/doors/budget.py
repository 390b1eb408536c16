"""Memory that requests may take at once: shared fairly among addresses; those for which there is too little wait."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tasklet_runner.plan.shares import has_room
from tasklet_runner.wire.errors import OverloadedError

RETRY_SECONDS = 1.0
LARGEST_SHARE = 4
"""No request counts for more than a quarter of all, or it would wait until it is alone."""


@dataclass(frozen=True)
class _Place:
    group: str
    wanted: int
    turn: "asyncio.Future[None]"


class Budget:
    """`most_bytes` in all, for at most `most_waiting` that wait. `what`: for what it is, in refusals."""

    def __init__(self, what: str, most_bytes: int, most_waiting: int) -> None:
        self._what = what
        self._most_bytes = most_bytes
        self._most_waiting = most_waiting
        self._of_group: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[_Place]] = OrderedDict()
        self.used = 0
        self.waiting = 0

    @asynccontextmanager
    async def share(self, size: int, group: str = "") -> AsyncIterator[None]:
        """Have so many bytes for the time of an `async with`. Raises OverloadedError when too many wait already.

        Groups are served in turn, and each in order; one that has its share waits while others are served. Without a
        name it is of this machine's own user, who may have everything.
        """
        place = _Place(group, min(size, self._most_bytes // LARGEST_SHARE), asyncio.get_running_loop().create_future())
        self._enter(place)
        try:
            await place.turn
            yield
        finally:
            self._leave(place)

    def _enter(self, place: _Place) -> None:
        self._waiting.setdefault(place.group, deque()).append(place)
        self.waiting += 1
        self._serve()
        if self.waiting > self._most_waiting:
            self._leave(place)
            raise OverloadedError(
                f"{self.waiting:,} requests wait for {self._what}, as many as may",
                remedy=f"try again in {RETRY_SECONDS:g} s",
                retry_after=RETRY_SECONDS,
            )

    def may_wait(self, size: int) -> bool:
        """Whether somebody who wants so many bytes may have to wait for them."""
        return self.waiting > 0 or not has_room(size, self.used, self._most_bytes)

    def _leave(self, place: _Place) -> None:
        if place.turn.done() and not place.turn.cancelled():
            self.used -= place.wanted
            self._of_group[place.group] -= place.wanted
            if not self._of_group[place.group]:
                del self._of_group[place.group]
        elif place in self._waiting.get(place.group, ()):
            self._drop(place)
        self._serve()

    def _serve(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Let in the next for whom there is room. Groups that have their share are passed over, others go in turn."""
        for group, places in self._waiting.items():
            place = places[0]
            if not self._may_have(place):
                continue
            if self.used + place.wanted > self._most_bytes:
                # Nobody overtakes it, or one that wants much would never get it.
                return False
            self._drop(place)
            if group in self._waiting:
                self._waiting.move_to_end(group)
            self._admit(place)
            return True
        return False

    def _may_have(self, place: _Place) -> bool:
        mine = self._of_group[place.group] if place.group else 0
        return not mine or has_room(mine + place.wanted - 1, self.used, self._most_bytes)

    def _admit(self, place: _Place) -> None:
        if place.turn.cancelled():
            return
        self.used += place.wanted
        self._of_group[place.group] += place.wanted
        place.turn.set_result(None)

    def _drop(self, place: _Place) -> None:
        self._waiting[place.group].remove(place)
        self.waiting -= 1
        if not self._waiting[place.group]:
            del self._waiting[place.group]
