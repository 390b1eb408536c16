"""The whole corpus, by the member that it is run on."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.hostile import binaries, computing, files, filling, inputs, scripts
from tests.hostile.cases import MEBIBYTE, Case


@dataclass(frozen=True)
class Room:
    """Cases that one member runs. `memory`, `tmpfs` in bytes, and what compiling one module may take there.

    `small_scratch`: scratch is a file system of its own, of `tmpfs` bytes, and one case is run at a time: else each
    would end as it does by what another one filled.
    """

    cases: tuple[Case, ...]
    memory: int = 1024 * MEBIBYTE
    tmpfs: int = 128 * MEBIBYTE
    compile_seconds: int = 120
    small_scratch: bool = False

    def arguments(self, slots: int) -> tuple[str, ...]:
        """The member's."""
        given = {"slots": slots, "memory": self.memory, "tmpfs": self.tmpfs, "compile-seconds": self.compile_seconds}
        return tuple(text for name, value in given.items() for text in (f"--{name}", str(value)))


ROOMS: Mapping[str, Room] = {
    "computing": Room(tuple(computing.cases())),
    "files": Room(tuple(files.cases())),
    "binaries": Room(tuple(binaries.cases())),
    "compile bombs": Room(tuple(binaries.bombs()), 400 * MEBIBYTE, 64 * MEBIBYTE, 2),
    "a small scratch": Room(tuple(filling.cases()), tmpfs=32 * MEBIBYTE, small_scratch=True),
    "inputs": Room(tuple(inputs.cases())),
    "Python": Room(tuple(scripts.cases())),
}


def kinds() -> Counter[str]:
    """How many cases there are of each kind."""
    return Counter(case.kind for room in ROOMS.values() for case in room.cases)
