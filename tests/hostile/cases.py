"""What a case of the corpus is."""

from collections.abc import Callable
from dataclasses import dataclass

from tasklet_runner.wire.programs import Limits

MEBIBYTE = 1024 * 1024

SMALL = Limits(fuel=20_000_000, memory=8 * MEBIBYTE, wall_seconds=60, max_output=200_000)
"""Ends whatever computes within some hundredths of a second."""

CLOCKED = Limits(fuel=10**15, memory=8 * MEBIBYTE, wall_seconds=1, max_output=200_000)
"""Fuel for ever: only the clock ends it."""

SCRIPT = Limits(fuel=10**11, memory=96 * MEBIBYTE, wall_seconds=60, max_output=200_000)

Make = Callable[[], bytes]


@dataclass(frozen=True)
class Program:
    """What a case declares beside its module. `mount`: a tar archive, shown at /mount."""

    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    output_files: bool = False
    input_files: bool = False
    mount: Make | None = None
    python: bool = False
    loop: bool = False


@dataclass(frozen=True)
class Chunk:
    """The one input of a case. `archive`: a tar archive of which stdin and /in are made."""

    data: bytes = b""
    path: str = ""
    archive: Make | None = None


@dataclass(frozen=True)
class Case:
    """A module (or a Python file) and the one reason with which its chunk, or already its preparation, must fail.

    `says`: words of the fault, where one reason has several causes.
    """

    kind: str
    name: str
    make: Make
    reason: str
    limits: Limits = SMALL
    program: Program = Program()
    chunk: Chunk = Chunk()
    prepares: bool = True
    says: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"
