"""The outputs in a job's store, read under a grant of everything; implements `store.protocol.Outputs`."""

from types import TracebackType
from typing import Self

import msgspec
from yarl import URL

from tasklet_runner.client.batches import BatchSink, request_of
from tasklet_runner.client.granted import StoreConnections, translated
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.queues import CommitPage, CommitRecord
from tasklet_runner.wire.store import BATCH_GET_PATH, COMMITS_PATH, DIGEST_HEADER, GRANT_HEADER, ObjectInfo, object_path

AHEAD_OBJECTS = 256
AHEAD_BYTES = 8 * 1024 * 1024
"""Small objects come many at once: by a port-forward each request takes some milliseconds."""


class GrantedStore:
    """An async context manager, for one event loop. Calls raise what `StoreConnections` says of its own.

    Who reads the objects of records in the order of `commits` gets the small ones from requests for many.
    """

    def __init__(self, endpoint: str, grant: str) -> None:
        self._endpoint = endpoint
        self._headers = {GRANT_HEADER: grant}
        self._connections = StoreConnections()
        self._keys: list[str] = []
        self._places: dict[str, int] = {}
        self._ready: dict[str, bytes] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.close()

    async def read(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes of an object; none from its end on. Raises besides KeyError: there is no such object."""
        if key not in self._ready and offset == 0 and key in self._places:
            await self._fetch_ahead(self._places[key])
        if key in self._ready:
            return self._ready[key][offset : None if length < 0 else offset + length]
        last = "" if length < 0 else str(offset + length - 1)
        headers = {**self._headers, "Range": f"bytes={offset}-{last}"}
        try:
            return await self._get(object_path(key), f"give {key!r}", headers)
        except RefusedError as error:
            if error.reason == "RangeNotSatisfiable":
                return b""
            if error.reason == "NotFound":
                raise KeyError(key) from error
            raise

    async def stat(self, key: str) -> ObjectInfo:
        """What there is under a key. Raises KeyError when there is none."""
        with translated(self._endpoint, f"say what {key!r} is"):
            asked = self._connections.answer(self._endpoint, "HEAD", object_path(key), self._headers)
            async with asked as response:
                return ObjectInfo(key, response.content_length or 0, response.headers.get(DIGEST_HEADER, ""))

    async def commits(self, stage: str, first: int = 0, limit: int = 1000) -> list[CommitRecord]:
        """Commit records of a stage with index >= first, in index order, at most `limit`."""
        path = str(URL(COMMITS_PATH).with_query({"stage": stage, "first": str(first), "limit": str(limit)}))
        said = await self._get(path, f"list the chunks of {stage}", self._headers)
        found = list(msgspec.json.decode(said, type=CommitPage).commits)
        self._keys = [one.key(suffix) for one in found if one.fault is None for suffix in one.objects]
        self._places = {key: place for place, key in enumerate(self._keys)}
        self._ready = {}
        return found

    async def _fetch_ahead(self, place: int) -> None:
        """This object and those that follow it, unless they are large: then each is asked for by itself."""
        keys = self._keys[place : place + AHEAD_OBJECTS]
        self._ready = {}
        sink = BatchSink(self._endpoint, keys)
        pieces: list[bytes] = []
        with translated(self._endpoint, f"give {len(keys)} objects"):
            asked = self._connections.answer(self._endpoint, "POST", BATCH_GET_PATH, self._headers, request_of(keys))
            async with asked as response:
                if (response.content_length or 0) > AHEAD_BYTES:
                    for key in keys:
                        self._places.pop(key)
                    return
                async for data in response.content.iter_any():
                    for part in sink.feed(data):
                        if isinstance(part, ObjectInfo):
                            self._ready[part.key] = b"".join(pieces)
                            pieces.clear()
                        else:
                            pieces.append(bytes(part))
        sink.finish()

    async def _get(self, path: str, what: str, headers: dict[str, str]) -> bytes:
        with translated(self._endpoint, what):
            async with self._connections.answer(self._endpoint, "GET", path, headers) as response:
                return await response.read()
