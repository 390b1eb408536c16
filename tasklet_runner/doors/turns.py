"""Who is heard when many speak at once: a few in each turn of the event loop, of addresses in turn.

An event loop reads all connections that have something to say, and answers all of them, before it reads again. With two
thousand that ask at once, whoever comes next is heard two thousand answers later, once for each step of what he does.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable

PIECES = 4
"""So many are heard in one turn: some milliseconds of answers, of which the loop's own work is a hundredth."""

HELD_BYTES = 32 * 1024 * 1024
"""What those may have said who wait: as many connections as one address may have, and a first reading of each. Beyond
it everybody is heard at once.
"""

Speaker = Callable[[], bool]
"""Lets one speak whose turn has come; False when he has gone, or may not be heard now."""


class Turns:
    """Of one door. `held`: bytes of those who wait."""

    def __init__(self, pieces: int = PIECES, held_bytes: int = HELD_BYTES) -> None:
        self._pieces = pieces
        self._most_held = held_bytes
        self._heard = 0
        self._scheduled = False
        self._waiting: OrderedDict[str, deque[Speaker]] = OrderedDict()
        self.held = 0

    def may_speak(self) -> bool:
        """Whether one more piece may be heard in this turn of the loop; then it counts."""
        if self._waiting or self._heard >= self._pieces:
            return False
        self._count()
        return True

    def has_place(self, size: int) -> bool:
        """Whether one may wait who has said so many bytes."""
        return self.held + size <= self._most_held

    def wait(self, group: str, speaker: Speaker) -> None:
        """Call `speaker` when it is the turn of this address; those of one are called in order."""
        self._waiting.setdefault(group, deque()).append(speaker)
        self._schedule()

    def _count(self) -> None:
        self._heard += 1
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled, self._heard = False, 0
        while self._waiting and self._heard < self._pieces:
            group, speakers = next(iter(self._waiting.items()))
            speaker = speakers.popleft()
            if speakers:
                self._waiting.move_to_end(group)
            else:
                del self._waiting[group]
            if speaker():
                self._count()
        if self._waiting:
            self._schedule()
