"""What a leased store does for the coordinator of a job alone; see `wire.job_store`."""

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import msgspec
from aiohttp import web

from tasklet_runner.doors.bodies import whole_body
from tasklet_runner.member.access import Access
from tasklet_runner.member.answers import json_of, worded
from tasklet_runner.member.shelf import Shelf
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import NewObject
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError, RefusedError, StoreFencedError
from tasklet_runner.wire.job_store import (
    JOB_PATH,
    MAX_VALUE_BYTES,
    MAX_WRITE_BYTES,
    TERM_HEADER,
    VALUES_PATH,
    DeleteCheckpoints,
    Opened,
    Write,
    Wrote,
)
from tasklet_runner.wire.store import checked_key

_decode = msgspec.msgpack.Decoder(Write).decode


class JobDoor:
    """Asks who may and at which term, and answers when it is as durable as the store."""

    def __init__(self, access: Access, shelf: Shelf) -> None:
        self._access = access
        self._shelf = shelf

    def routes(self) -> tuple[web.RouteDef, ...]:
        """All of them; every error leaves as a refusal."""
        value = VALUES_PATH + "{name:.+}"
        return (
            web.post(JOB_PATH + "open", worded(self._open)),
            web.post(JOB_PATH + "write", worded(self._write)),
            web.post(JOB_PATH + "drop-uncommitted", worded(self._drop_uncommitted)),
            web.post(JOB_PATH + "delete-checkpoints", worded(self._delete_checkpoints)),
            web.get(JOB_PATH + "usage", worded(self._usage)),
            web.put(value, worded(self._put_value)),
            web.get(value, worded(self._get_value)),
        )

    async def _open(self, request: web.Request) -> web.Response:
        self._access.require_session(request)
        self._shelf.store.write_from(_term_of(request))
        return self._state()

    async def _write(self, request: web.Request) -> web.Response:
        store = self._current(request)
        body = await whole_body(request, MAX_WRITE_BYTES)
        try:
            asked = _decode(body)
        except UNREADABLE as error:
            raise ProtocolError(f"the write cannot be read: {error}", remedy="send a Write as MessagePack") from error
        objects = [NewObject(checked_key(one.key), one.data) for one in asked.objects]

        async def write() -> int:
            self._current(request)
            return await store.write(objects, asked.commits)

        return json_of(Wrote(await self._settled(write)))

    async def _drop_uncommitted(self, request: web.Request) -> web.Response:
        await self._settled(self._current(request).drop_uncommitted)
        return self._state()

    async def _delete_checkpoints(self, request: web.Request) -> web.Response:
        store = self._current(request)
        try:
            asked = msgspec.json.decode(await whole_body(request, MAX_VALUE_BYTES), type=DeleteCheckpoints)
        except UNREADABLE as error:
            raise ProtocolError(f"the request cannot be read: {error}", remedy='send {"prefixes": [...]}') from error
        for prefix in asked.prefixes:
            store.delete_checkpoints(prefix)
        return self._state()

    async def _usage(self, request: web.Request) -> web.Response:
        self._current(request)
        return self._state()

    async def _put_value(self, request: web.Request) -> web.Response:
        store, name = self._current(request), _name_of(request)
        value = await whole_body(request, MAX_VALUE_BYTES)
        self._current(request)
        await self._shelf.transfer(store.put_value(name, value))
        return self._state()

    async def _get_value(self, request: web.Request) -> web.Response:
        value = await self._current(request).get_value(_name_of(request))
        if value is None:
            raise RefusedError("NotFound", "there is no such record", remedy="write it first")
        return web.Response(body=value, content_type="application/octet-stream")

    def _current(self, request: web.Request) -> DiskStore:
        """The store, for the coordinator of the highest term alone."""
        self._access.require_session(request)
        store, term = self._shelf.store, _term_of(request)
        if term != store.writer_term:
            raise StoreFencedError(
                f"the store is at term {store.writer_term}, the writer is of term {term}",
                remedy="a newer coordinator runs this job; end this one",
            )
        return store

    async def _settled(self, work: Callable[[], Awaitable[int | None]]) -> int:
        async def settled() -> int:
            done = await work()
            await self._shelf.settle()
            return done or 0

        return await self._shelf.transfer(settled())

    def _state(self) -> web.Response:
        store = self._shelf.store
        return json_of(Opened(store.writer_term, self._shelf.used_bytes, store.quota_bytes))


def _term_of(request: web.Request) -> int:
    text = request.headers.get(TERM_HEADER, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19) or not 0 < int(text) < 2**53:
        raise ProtocolError(f"{TERM_HEADER} is {text[:40]!r}", remedy="send the coordinator's term, a number from 1")
    return int(text)


def _name_of(request: web.Request) -> str:
    return checked_key(unquote(request.raw_path.partition("?")[0].removeprefix(VALUES_PATH)))
