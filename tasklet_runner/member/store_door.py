"""What a store member adds to the door: sessions by proof of possession, and objects; see `wire.store`."""

import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from aiohttp import ClientConnectionResetError, hdrs, web

from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.nonces import Nonces
from tasklet_runner.member.shelf import Shelf, ended
from tasklet_runner.member.states import Claim
from tasklet_runner.store.batch_serving import asked_keys, receive_batch, send_batch
from tasklet_runner.store.grants import Allowance, check_grant, require_below
from tasklet_runner.store.refusals import refusal
from tasklet_runner.store.serving import key_of, list_objects, receive_object, send_object, stored
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError, RefusedError
from tasklet_runner.wire.signed import public_key, verify
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.store import (
    BATCH_GET_PATH,
    BATCH_PATH,
    CHALLENGE_PATH,
    GRANT_HEADER,
    LISTING_PATH,
    OBJECTS_PATH,
    SESSION_HEADER,
    SESSION_PATH,
    ChallengeReply,
    SessionReply,
    SessionRequest,
)

Grant = TypeVar("Grant", PutGrant, GetGrant)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class StoreDoor:
    """Asks the core who may, and has the shelf do it."""

    def __init__(self, core: MemberCore, shelf: Shelf) -> None:
        self._core = core
        self._shelf = shelf
        self._nonces = Nonces(secrets.token_bytes(32))

    def routes(self) -> tuple[web.RouteDef, ...]:
        """All of them; every error leaves as a refusal."""
        key = OBJECTS_PATH + "{key:.+}"
        return (
            web.get(CHALLENGE_PATH, _worded(self._challenge)),
            web.post(SESSION_PATH, _worded(self._open_session)),
            web.put(key, _worded(self._put), expect_handler=self._expect),
            web.get(key, _worded(self._get)),
            web.get(LISTING_PATH, _worded(self._list)),
            web.post(BATCH_PATH, _worded(self._put_batch)),
            web.post(BATCH_GET_PATH, _worded(self._get_batch)),
        )

    async def _challenge(self, _: web.Request) -> web.Response:
        identity = self._core.states.identity
        nonce = self._nonces.issue(time.monotonic())
        return _json(ChallengeReply(nonce, identity.member, identity.incarnation))

    async def _open_session(self, request: web.Request) -> web.Response:
        try:
            shown = msgspec.json.decode(await request.read(), type=SessionRequest)
        except msgspec.MsgspecError as error:
            raise ProtocolError(
                f"the request cannot be read: {error}", remedy='send {"capability": "…", "challenge": "…"}'
            ) from error
        seconds_left = self._core.open_work(
            shown.capability, shown.challenge, lambda nonce: self._nonces.redeem(nonce, time.monotonic())
        )
        return _json(SessionReply(self._shelf.open_session(), seconds_left))

    async def _put(self, request: web.Request) -> web.StreamResponse:
        store, max_bytes = self._shelf.store, self._allowed(request)
        return stored(await self._shelf.transfer(receive_object(request, store, max_bytes)))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self._require_readable(request, (key_of(request),))
        return await self._shelf.transfer(send_object(request, self._shelf.store))

    async def _put_batch(self, request: web.Request) -> web.StreamResponse:
        if GRANT_HEADER in request.headers:
            allowance = Allowance.of(self._granted(request, PutGrant))
        else:
            self._require_session(request)
            allowance = Allowance(self._shelf.store.quota_bytes)
        return await self._shelf.transfer(receive_batch(request, self._shelf.store, allowance))

    async def _get_batch(self, request: web.Request) -> web.StreamResponse:
        self._require_readable(request, ())
        keys = await asked_keys(request)
        self._require_readable(request, keys)
        return await self._shelf.transfer(send_batch(request, self._shelf.store, keys))

    async def _list(self, request: web.Request) -> web.Response:
        self._require_session(request)
        return list_objects(request, self._shelf.store)

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        """`Expect: 100-continue`: say no before a large body is sent for nothing."""
        if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
            return refusal(ProtocolError("an unknown expectation", remedy="send Expect: 100-continue, or none"))
        try:
            self._allowed(request)
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
            store.require_room(request.content_length or 0)

    def _allowed(self, request: web.Request) -> int:
        """How many bytes the asker may put under this key: by session as many as there is room for."""
        if GRANT_HEADER not in request.headers:
            self._require_session(request)
            return self._shelf.store.quota_bytes
        grant, key = self._granted(request, PutGrant), key_of(request)
        require_below(grant.key_prefix, key)
        return grant.max_bytes - self._shelf.store.bytes_beside(key, grant.key_prefix)

    def _require_readable(self, request: web.Request, keys: tuple[str, ...]) -> None:
        if GRANT_HEADER not in request.headers:
            self._require_session(request)
            return
        grant = self._granted(request, GetGrant)
        for key in keys:
            require_below(grant.key_prefix, key)

    def _granted(self, request: web.Request, kind: type[Grant]) -> Grant:
        claim = self._standing()
        grant = verify(request.headers[GRANT_HEADER], kind, public_key(claim.holder_key))
        # The holder has its idea of the time from the fabric that signed the claim, not from this machine's clock.
        now = claim.signers_clock(time.monotonic())
        check_grant(grant, store_uid=claim.lease_uid, term=self._shelf.store.term, now=now)
        return grant

    def _require_session(self, request: web.Request) -> None:
        if not self._shelf.has_session(request.headers.get(SESSION_HEADER, "")):
            if self._core.claim is None:
                raise ended()
            raise RefusedError("NoSession", "there is no such session here", remedy="open one: POST /v1/session")
        self._standing()

    def _standing(self) -> Claim:
        claim = self._core.claim
        if claim is None:
            raise ended()
        if not self._core.serving:
            raise RefusedError("NotReady", "the member is about to go", remedy="ask for its successor")
        return claim


def _worded(handler: _Handler) -> _Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except LeaseGridError as error:
            return refusal(error)
        except ClientConnectionResetError:
            # The asker is gone; nobody reads the answer.
            return web.Response(status=HTTPStatus.BAD_REQUEST)

    return answer


def _json(reply: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(reply), content_type="application/json")
