"""Parts of inputs that came before a task asked for them: a file for each queue that told of them, in scratch.

They are only for speed. Whatever needs their room more has them deleted; then they are fetched when they are needed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import FileIO
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tasklet_runner.member.room import FetchRoom


class Place(NamedTuple):
    """Where a part stands in the file of its hoard."""

    offset: int
    size: int


@dataclass(eq=False)
class Hoard:
    """What was fetched from one store for one queue. `size`: its bytes, which are taken from the room.

    `over`: nothing is added any more, as a task has claimed it or it had to give way.
    """

    endpoint: str
    path: Path
    size: int = 0
    over: bool = False
    places: dict[str, Place] = field(default_factory=dict)


_numbers = count(1)
"""Of files: no lease deletes those of the next by the same name, however late it is."""


class Larder:
    """All hoards of one lease that no task has claimed yet."""

    def __init__(self, directory: Path, room: FetchRoom) -> None:
        self._directory = directory
        self._room = room
        self._hoards: dict[Hoard, None] = {}
        self._holders: dict[tuple[str, str], Hoard] = {}
        room.on_short(self.make_way)

    def begin(self, endpoint: str) -> Hoard:
        """A new hoard of what comes from this store. Raises OSError."""
        hoard = Hoard(endpoint, self._directory / f"ahead-{next(_numbers)}")
        hoard.path.touch()
        self._hoards[hoard] = None
        return hoard

    def keep(self, hoard: Hoard, key: str, size: int) -> None:
        """So many bytes were written to the end of its file, for which room was taken: the object of that key."""
        hoard.places[key] = Place(hoard.size, size)
        hoard.size += size
        self._holders[hoard.endpoint, key] = hoard

    def claim(self, endpoint: str, keys: Iterable[str]) -> tuple[Hoard, ...]:
        """Every hoard that has some of these objects: they are the caller's now, to be dropped after use."""
        found = {self._holders.get((endpoint, key)): None for key in keys} if self._holders else {}
        claimed = tuple(hoard for hoard in found if hoard is not None)
        for hoard in claimed:
            self._forget(hoard)
        return claimed

    def drop(self, hoard: Hoard) -> None:
        """Delete it and give its room back; a second call does nothing."""
        self._forget(hoard)
        size, hoard.size = hoard.size, 0
        self._room.give_back_ahead(size)
        hoard.path.unlink(missing_ok=True)

    def make_way(self) -> bool:
        """Drop the one that was begun last; False when there is none."""
        if not self._hoards:
            return False
        self.drop(next(reversed(self._hoards)))
        return True

    def _forget(self, hoard: Hoard) -> None:
        hoard.over = True
        self._hoards.pop(hoard, None)
        for key in hoard.places:
            if self._holders.get((hoard.endpoint, key)) is hoard:
                del self._holders[hoard.endpoint, key]


def write_all(file: FileIO, data: memoryview) -> None:
    """Write every byte of it. Raises OSError."""
    while data:
        data = data[file.write(data) :]
