"""Bytes that came with the order of a run: what stands in objects of the cluster, which members cannot read."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from tasklet_runner.data.found import ChangedError, Found

SCHEMES = ("configmap",)


class GivenStorage:
    """Implements `data.found.Storage` on bytes by URI."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects

    def stat(self, location: str) -> Found:
        """What was given. Raises FileNotFoundError."""
        if location not in self._objects:
            raise FileNotFoundError(f"{location} was not given with the order")
        data = self._objects[location]
        return Found(location, len(data), hashlib.sha256(data).hexdigest())

    def glob(self, pattern: str) -> list[Found]:
        """The object of that very name."""
        return [self.stat(pattern)] if pattern in self._objects else []

    def below(self, location: str) -> list[Found]:
        """The object itself."""
        return [self.stat(location)]

    @contextmanager
    def open(self, found: Found) -> Iterator[BinaryIO]:
        """Its bytes. Raises ChangedError."""
        if found.mark not in ("", self.stat(found.location).mark):
            raise ChangedError(found.location)
        yield io.BytesIO(self._objects[found.location])

    def write(self, location: str, pieces: Iterable[bytes]) -> None:
        """Nothing is written there. Raises PermissionError."""
        raise PermissionError(f"{location} is an object of the cluster")

    def remove(self, location: str) -> None:
        """Nothing is deleted there. Raises PermissionError."""
        raise PermissionError(f"{location} is an object of the cluster")
