"""What was fetched ahead of one input, put to its place among what is fetched now."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from io import FileIO

from tasklet_runner.member.larder import Hoard, Larder
from tasklet_runner.wire.programs import Fetch

PIECE_BYTES = 4 * 1024 * 1024


class Ahead:
    """The parts of an input that its member has already. `size`: bytes of them.

    To be closed, also after an error: then their hoards are deleted.
    """

    def __init__(self, larder: Larder) -> None:
        self.size = 0
        self._larder = larder
        self._hoards: list[Hoard] = []
        self._files: dict[Hoard, FileIO] = {}
        self._holders: dict[tuple[str, str], Hoard] = {}

    def claim(self, fetches: Iterable[Fetch]) -> None:
        """Take what there is of these, so that nothing takes it away meanwhile. Raises OSError."""
        for fetch in fetches:
            for hoard in self._larder.claim(fetch.endpoint, fetch.keys):
                self._hoards.append(hoard)
                self._files[hoard] = FileIO(hoard.path)
                self._holders |= {(fetch.endpoint, key): hoard for key in hoard.places}
                self.size += hoard.size

    def __bool__(self) -> bool:
        return bool(self._holders)

    def missing(self, fetch: Fetch) -> tuple[str, ...]:
        """Those of its objects that are to be fetched, in order."""
        return tuple(key for key in fetch.keys if (fetch.endpoint, key) not in self._holders)

    async def copy(self, endpoint: str, keys: Iterator[str], into: FileIO) -> None:
        """Copy the objects of these keys up to the first that is missing, which is passed over. Raises OSError."""
        for key in keys:
            hoard = self._holders.get((endpoint, key))
            if hoard is None:
                return
            await _copy(self._files[hoard], *hoard.places[key], into)

    def close(self) -> None:
        """Delete what was claimed; a second call does nothing."""
        for file in self._files.values():
            file.close()
        for hoard in self._hoards:
            self._larder.drop(hoard)
        self._hoards, self._files, self._holders = [], {}, {}


async def _copy(file: FileIO, offset: int, size: int, into: FileIO) -> None:
    while size:
        sent = os.sendfile(into.fileno(), file.fileno(), offset, min(size, PIECE_BYTES))
        if not sent:
            raise OSError(f"{file.name} is shorter than it was")
        offset, size = offset + sent, size - sent
        if size:
            # Let others run: a connection's heartbeat does not wait for a gigabyte.
            await asyncio.sleep(0)
