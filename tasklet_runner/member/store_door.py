"""What a store member adds to the door: sessions by proof of possession, objects, queues; see `wire.store`."""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import hdrs, web

from tasklet_runner.doors.bodies import small_body
from tasklet_runner.member.access import Access
from tasklet_runner.member.answers import json_of, worded
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.job_door import JobDoor
from tasklet_runner.member.nonces import Nonces
from tasklet_runner.member.queue_door import QueueDoor
from tasklet_runner.member.shelf import Shelf
from tasklet_runner.store.batch_serving import asked_keys, receive_batch, send_batch, take_files, tell_places
from tasklet_runner.store.checkpoint_serving import CheckpointDoor
from tasklet_runner.store.refusals import refusal
from tasklet_runner.store.serving import (
    ArrivingBody,
    key_of,
    list_commits,
    list_objects,
    receive_object,
    send_object,
    stored,
)
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError
from tasklet_runner.wire.neighbours import BATCH_FILES_PATH, BATCH_PLACES_PATH
from tasklet_runner.wire.statements import GetGrant
from tasklet_runner.wire.store import (
    BATCH_GET_PATH,
    BATCH_PATH,
    CHALLENGE_PATH,
    COMMITS_PATH,
    LISTING_PATH,
    OBJECTS_PATH,
    SESSION_PATH,
    ChallengeReply,
    SessionReply,
    SessionRequest,
)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Value = TypeVar("Value")


class StoreDoor:
    """Asks who may, and has the shelf do it."""

    def __init__(self, core: MemberCore, shelf: Shelf) -> None:
        self._core = core
        self._shelf = shelf
        self._access = Access(core, shelf)
        self._nonces = Nonces(secrets.token_bytes(32))

    def routes(self) -> tuple[web.RouteDef, ...]:
        """All of them; every error leaves as a refusal."""
        key = OBJECTS_PATH + "{key:.+}"
        return (
            web.get(CHALLENGE_PATH, worded(self._challenge)),
            web.post(SESSION_PATH, worded(self._open_session)),
            web.put(key, worded(self._put), expect_handler=self._expect),
            web.get(key, worded(self._get)),
            web.get(LISTING_PATH, worded(self._list)),
            web.get(COMMITS_PATH, worded(self._list_commits)),
            web.post(BATCH_PATH, worded(self._put_batch)),
            web.post(BATCH_GET_PATH, worded(self._get_batch)),
            web.post(BATCH_FILES_PATH, worded(self._take_files)),
            web.post(BATCH_PLACES_PATH, worded(self._tell_places)),
            *QueueDoor(self._access, self._shelf).routes(),
            *JobDoor(self._access, self._shelf).routes(),
            *CheckpointDoor(
                lambda: self._shelf.store.checkpoints, self._access.checkpoint_writer, self._shelf.transfer
            ).routes(worded),
        )

    async def _challenge(self, _: web.Request) -> web.Response:
        identity = self._core.states.identity
        nonce = self._nonces.issue(time.monotonic())
        return json_of(ChallengeReply(nonce, identity.member, identity.incarnation))

    async def _open_session(self, request: web.Request) -> web.Response:
        try:
            shown = msgspec.json.decode(await small_body(request), type=SessionRequest)
        except UNREADABLE as error:
            raise ProtocolError(
                f"the request cannot be read: {error}", remedy='send {"capability": "…", "challenge": "…"}'
            ) from error
        seconds_left = self._core.open_work(
            shown.capability, shown.challenge, lambda nonce: self._nonces.redeem(nonce, time.monotonic())
        )
        return json_of(SessionReply(self._shelf.open_session(), seconds_left))

    async def _put(self, request: web.Request) -> web.StreamResponse:
        store, max_bytes = self._shelf.store, self._access.bytes_for(request, key_of(request))
        return stored(await self._shelf.transfer(self._settled(lambda: receive_object(request, store, max_bytes))))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self._access.require(request, GetGrant, key_of(request))
        return await self._shelf.transfer(send_object(request, self._shelf.store))

    async def _put_batch(self, request: web.Request) -> web.StreamResponse:
        store, allowance = self._shelf.store, self._access.allowance(request)
        return await self._shelf.transfer(self._settled(lambda: receive_batch(request, store, allowance)))

    async def _get_batch(self, request: web.Request) -> web.StreamResponse:
        self._access.require(request, GetGrant)
        keys = await asked_keys(request)
        self._access.require(request, GetGrant, *keys)
        return await self._shelf.transfer(send_batch(request, self._shelf.store, keys))

    async def _take_files(self, request: web.Request) -> web.StreamResponse:
        store, allowance = self._shelf.store, self._access.allowance(request)
        return await self._shelf.transfer(take_files(request, store, allowance))

    async def _tell_places(self, request: web.Request) -> web.StreamResponse:
        self._access.require(request, GetGrant)
        keys = await asked_keys(request)
        self._access.require(request, GetGrant, *keys)
        return await self._shelf.transfer(tell_places(request, self._shelf.store, keys))

    async def _list(self, request: web.Request) -> web.Response:
        self._access.require_session(request)
        return list_objects(request, self._shelf.store)

    async def _list_commits(self, request: web.Request) -> web.Response:
        self._access.require_reader(request)
        return await list_commits(request, self._shelf.store)

    async def _settled(self, work: Callable[[], Awaitable[Value]]) -> Value:
        put = await work()
        await self._shelf.settle()
        return put

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        """`Expect: 100-continue`: say no before a large body is sent for nothing."""
        if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
            return refusal(ProtocolError("an unknown expectation", remedy="send Expect: 100-continue, or none"))
        try:
            self._access.bytes_for(request, key_of(request))
            await self._require_room(request)
        except LeaseGridError as error:
            return refusal(error)
        await request.writer.write(_CONTINUE)
        # The head of the real answer counts from here.
        request.writer.output_size = 0
        return None

    async def _require_room(self, request: web.Request) -> None:
        store = self._shelf.store
        try:
            await store.stat(key_of(request))
        except KeyError:
            store.require_room(ArrivingBody(request).size)
