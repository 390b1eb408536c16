"""Calls to a store under a grant that somebody else signed: what a member does with its outputs and its inputs."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from yarl import URL

from tasklet_runner.client.batches import Admit, BatchBody, BatchSink, Source, request_of
from tasklet_runner.client.keys import unreachable
from tasklet_runner.client.neighbours import PlacedObjects, handed_files, is_not_here, may_be_near
from tasklet_runner.client.refusals import error_of, reply_of
from tasklet_runner.client.transfers import PIECE_BYTES, pieces_of_file, refusal_in, write_all
from tasklet_runner.client.transport import base_url, connector_to
from tasklet_runner.wire.batches import MAX_BATCH_OBJECTS, BatchReply
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import InputError, RefusedError, UnreachableError
from tasklet_runner.wire.neighbours import BATCH_FILES_PATH, BATCH_PLACES_PATH, HandedFile, HandedFiles, Places
from tasklet_runner.wire.store import BATCH_GET_PATH, BATCH_PATH, GRANT_HEADER, ObjectInfo, object_path

KEEP_ALIVE_SECONDS = 15.0
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)

Body = bytes | AsyncIterator[bytes]
"""Of a request: as it is, or in pieces."""


def _everything(size: int) -> None:
    """Nothing bounds what comes."""


def connect(endpoint: str) -> aiohttp.ClientSession:
    """Connections to one store; the caller closes them. Needs a running event loop. Raises ProtocolError."""
    return aiohttp.ClientSession(
        connector=connector_to(endpoint, KEEP_ALIVE_SECONDS),
        timeout=TIMEOUT,
        read_bufsize=PIECE_BYTES,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class StoreConnections:
    """Kept connections to the stores that grants name; an async context manager, for one event loop.

    Every call raises:
        RefusedError: the store said no: NotGranted, LeaseExpired, TooLarge, BadSignature, Conflict, NotFound …
        StoreError: the store's disk fails, it is full, or bytes are not those that were put; StoreFencedError: the
            grant is of another term.
        UnreachableError: no answer, one that was cut off, or one that cannot be read.
        InputError: a file cannot be read or written.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._distant: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; they are opened again when needed."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def put_object(self, endpoint: str, grant: str, key: str, path: Path) -> ObjectInfo:
        """Put the file's bytes under `key`, in flat memory. `endpoint`: `unix:///path` or `http://host:port`."""
        with translated(endpoint, f"take {key!r}"), opened(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            headers = {GRANT_HEADER: grant, "Content-Length": str(size)}
            body = pieces_of_file(file)
            async with self.answer(endpoint, "PUT", object_path(key), headers, body) as response:
                return msgspec.json.decode(await response.read(), type=ObjectInfo)

    async def put_batch(
        self, endpoint: str, grant: str, objects: Sequence[tuple[str, Source]]
    ) -> tuple[ObjectInfo, ...]:
        """Put objects, given as key and bytes or file, in flat memory: all of them or none. The same again is no error.

        What each one is, in their order. Raises besides: ProtocolError (a key twice, or none that can be one).
        """
        if self._may_be_near(endpoint, BATCH_FILES_PATH) and (handed := await handed_files(objects)):
            try:
                return await self._hand_over(endpoint, grant, handed)
            except RefusedError as error:
                self._learn(endpoint, BATCH_FILES_PATH, error)
        body = BatchBody(objects)
        headers = {GRANT_HEADER: grant, "Content-Length": str(body.size)}
        with translated(endpoint, f"take {len(objects):,} objects", body):
            async with self.answer(endpoint, "POST", BATCH_PATH, headers, body.pieces()) as response:
                return msgspec.json.decode(await response.read(), type=BatchReply).objects

    async def get_batch_to_file(self, endpoint: str, grant: str, keys: Sequence[str], path: Path) -> int:
        """Write the bytes of these objects, one after the other, to a file, in flat memory; how many they are.

        The file appears whole or not at all.
        """
        part = path.with_name(f".{path.name}.part")
        try:
            with opened(part, "wb") as file:
                await self.append_batch(endpoint, grant, keys, file)
                size = file.tell()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return size

    async def append_batch(
        self, endpoint: str, grant: str, keys: Sequence[str], file: FileIO, admit: Admit = _everything
    ) -> None:
        """Write the bytes of these objects, one after the other, where the file stands; after an error some are there.

        `admit` is told the bytes of each answer (one for up to `MAX_BATCH_OBJECTS` keys) before they are read; what it
        raises ends the call.
        """
        for at in range(0, len(keys), MAX_BATCH_OBJECTS):
            some = keys[at : at + MAX_BATCH_OBJECTS]
            if placed := await self._placed(endpoint, grant, some):
                admit(placed.size)
                await placed.append(file)
                continue
            asked = self.answer(endpoint, "POST", BATCH_GET_PATH, {GRANT_HEADER: grant}, request_of(some))
            with translated(endpoint, f"give {len(keys):,} objects"):
                async with asked as response:
                    admit(response.content_length or 0)
                    await _append(response, BatchSink(endpoint, some), file)

    async def _hand_over(self, endpoint: str, grant: str, files: tuple[HandedFile, ...]) -> tuple[ObjectInfo, ...]:
        body = msgspec.msgpack.encode(HandedFiles(files))
        with translated(endpoint, f"take {len(files):,} files"):
            async with self.answer(endpoint, "POST", BATCH_FILES_PATH, {GRANT_HEADER: grant}, body) as response:
                return msgspec.json.decode(await response.read(), type=BatchReply).objects

    async def _placed(self, endpoint: str, grant: str, keys: Sequence[str]) -> PlacedObjects | None:
        if not self._may_be_near(endpoint, BATCH_PLACES_PATH):
            return None
        asked = self.answer(endpoint, "POST", BATCH_PLACES_PATH, {GRANT_HEADER: grant}, request_of(keys))
        try:
            with translated(endpoint, f"say where {len(keys):,} objects are"):
                async with asked as response:
                    told = msgspec.msgpack.decode(await response.read(), type=Places)
            return PlacedObjects(endpoint, keys, told.places)
        except RefusedError as error:
            self._learn(endpoint, BATCH_PLACES_PATH, error)
        except OSError:
            self._distant.add((endpoint, BATCH_PLACES_PATH))  # its files are not to be seen from here
        return None

    def _may_be_near(self, endpoint: str, path: str) -> bool:
        return may_be_near(endpoint) and (endpoint, path) not in self._distant

    def _learn(self, endpoint: str, path: str, error: RefusedError) -> None:
        if not is_not_here(error):
            raise error
        # Once refused, never asked again: who measures files for nothing pays for them twice.
        self._distant.add((endpoint, path))

    @asynccontextmanager
    async def answer(
        self, endpoint: str, method: str, path: str, headers: Mapping[str, str], body: Body = b""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer; to be asked for within `translated`."""
        if endpoint not in self._sessions:
            self._sessions[endpoint] = connect(endpoint)
        url = URL(base_url(endpoint, "store") + path, encoded=True)
        async with self._sessions[endpoint].request(method, url, data=body, headers=headers) as response:
            if response.status not in (200, 206):
                raise error_of(reply_of(response.status, await refusal_in(response)))
            yield response


async def _append(response: aiohttp.ClientResponse, sink: BatchSink, file: FileIO) -> None:
    async for piece in response.content.iter_any():
        for part in sink.feed(piece):
            if isinstance(part, memoryview):
                write_all(file, part)
    sink.finish()


@contextmanager
def opened(path: Path, mode: str = "rb") -> Iterator[FileIO]:
    """A file that is a body, or takes an answer. Raises InputError."""
    try:
        file = FileIO(path, mode)
    except OSError as error:
        raise InputError(f"cannot open {path}: {error}", remedy="is it there, with the right to use it?") from error
    with file:
        yield file


@contextmanager
def translated(endpoint: str, what: str, body: BatchBody | None = None) -> Iterator[None]:
    """Whatever keeps a store from doing `what` becomes UnreachableError; or what went wrong with the body itself."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, *UNREADABLE) as error:
        if body is not None and body.failure is not None:
            raise body.failure from error
        silent = UnreachableError(
            f"the store at {endpoint} did not {what}: {str(error) or type(error).__name__}",
            remedy="check that it runs and can be reached",
        )
        raise unreachable(error, endpoint, silent) from error
