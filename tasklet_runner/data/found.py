"""What every place of data offers, and how an object there is told apart from what it was."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it was listed: an absolute path or a URI, its bytes (-1: not told), and its `mark`.

    The mark differs when the content does: an ETag where there is one, else size and time of change. Empty: the place
    tells nothing that could be compared.
    """

    location: str
    size: int = -1
    mark: str = ""


class ChangedError(OSError):
    """An object is not what it was when it was listed."""

    def __init__(self, location: str) -> None:
        super().__init__(f"{location} has changed since it was listed")


class Storage(Protocol):
    """One place of data. Every call blocks, and raises OSError, ValueError or an error of the place's own library:
    `failures` makes words of them.
    """

    def stat(self, location: str) -> Found:
        """What stands there. Raises FileNotFoundError, IsADirectoryError."""
        ...

    def glob(self, pattern: str) -> list[Found]:
        """The objects that match, no directories; `**` crosses directories."""
        ...

    def below(self, location: str) -> list[Found]:
        """The object itself, or all below that directory. Raises FileNotFoundError when there is neither."""
        ...

    def open(self, found: Found) -> AbstractContextManager[BinaryIO]:
        """Its bytes, read from front to back in flat memory. Raises ChangedError when it has another mark by now."""
        ...

    def write(self, location: str, pieces: Iterable[bytes]) -> None:
        """Write or replace an object: readers see the old one or the whole new one, also when `pieces` raises."""
        ...

    def remove(self, location: str) -> None:
        """Delete an object; one that is not there is no error."""
        ...
