"""The queues of a leased store over HTTP; see `wire.queues`."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from aiohttp import web

from tasklet_runner.doors.bodies import whole_body
from tasklet_runner.member.access import Access
from tasklet_runner.member.answers import Handler, json_of, worded
from tasklet_runner.member.shelf import Shelf, ended
from tasklet_runner.store.batch_serving import MAX_REQUEST_BYTES
from tasklet_runner.store.queues import Queues
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.queues import (
    MAX_MESSAGE_BYTES,
    MAX_MESSAGES,
    MAX_QUEUES,
    MAX_VISIBILITY_SECONDS,
    MAX_WAIT_SECONDS,
    QUEUE_BATCHES_PATH,
    QUEUES_PATH,
    Ack,
    AckMany,
    Acknowledged,
    Message,
    Push,
    Pushed,
    PushMany,
    Receive,
    Received,
    ReceivedMany,
    ReceiveMany,
    queue_name,
)
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.store import checked_key

Asked = TypeVar("Asked")
Value = TypeVar("Value", bound=msgspec.Struct)


class QueueDoor:
    """Asks who may, has the store do it, and answers when it is as durable as the store."""

    def __init__(self, access: Access, shelf: Shelf) -> None:
        self._access = access
        self._shelf = shelf

    def routes(self) -> tuple[web.RouteDef, ...]:
        """All of them; every error leaves as a refusal."""
        one: dict[str, Handler] = {
            "push": self._push,
            "close": self._close,
            "receive": self._receive,
            "ack": self._acknowledge,
        }
        many: dict[str, Handler] = {
            "push": self._push_many,
            "receive": self._receive_many,
            "ack": self._acknowledge_many,
        }
        return (
            *(web.post(f"{QUEUES_PATH}{{name:.+}}/{verb}", worded(handler)) for verb, handler in one.items()),
            *(web.post(QUEUE_BATCHES_PATH + verb, worded(handler)) for verb, handler in many.items()),
        )

    async def _push(self, request: web.Request) -> web.Response:
        name = self._named(request, PutGrant)
        asked = await _asked(request, Push)
        _check(asked.messages)
        return await self._changed((name,), lambda queues: Pushed(queues.push(name, asked.messages)))

    async def _close(self, request: web.Request) -> web.Response:
        name = self._named(request, PutGrant)
        return await self._changed((name,), lambda queues: Pushed(queues.push_many(PushMany({name: ()}, close=True))))

    async def _receive(self, request: web.Request) -> web.Response:
        name = self._named(request, GetGrant)
        asked = await _asked(request, Receive)
        many = ReceiveMany((name,), asked.limit, asked.visibility_seconds, asked.wait_seconds)
        found = await self._delivered(request, many)
        return json_of(Received(found.queues.get(name, ()), found.closed, found.left))

    async def _acknowledge(self, request: web.Request) -> web.Response:
        name = self._named(request, GetGrant)
        asked = await _asked(request, Ack)
        if asked.commit is not None:
            # Commit records are the holder's own word.
            self._access.require_session(request)
        _check_receipts(asked.receipts)
        return await self._changed((), lambda queues: Acknowledged(queues.acknowledge(name, asked)))

    async def _push_many(self, request: web.Request) -> web.Response:
        self._access.require(request, PutGrant)
        asked = await _asked(request, PushMany)
        self._require(request, PutGrant, asked.queues)
        for messages in asked.queues.values():
            _check(messages)
        return await self._changed(asked.queues, lambda queues: Pushed(queues.push_many(asked)))

    async def _receive_many(self, request: web.Request) -> web.Response:
        self._access.require(request, GetGrant)
        asked = await _asked(request, ReceiveMany)
        self._require(request, GetGrant, asked.queues)
        return json_of(await self._delivered(request, asked))

    async def _acknowledge_many(self, request: web.Request) -> web.Response:
        self._access.require(request, GetGrant)
        asked = await _asked(request, AckMany)
        self._require(request, GetGrant, asked.queues)
        for receipts in asked.queues.values():
            _check_receipts(receipts)
        return await self._changed((), lambda queues: Acknowledged(queues.acknowledge_many(asked.queues)))

    def _named(self, request: web.Request, kind: type[PutGrant] | type[GetGrant]) -> str:
        """The queue of the request, if the asker may."""
        name = queue_name(request.raw_path.partition("?")[0])
        self._access.require(request, kind, name)
        return name

    def _require(self, request: web.Request, kind: type[PutGrant] | type[GetGrant], queues: Iterable[str]) -> None:
        names = [checked_key(name) for name in queues]
        _require(len(names) <= MAX_QUEUES, f"at most {MAX_QUEUES:,} queues in one request")
        self._access.require(request, kind, *names)

    async def _changed(self, queues: Iterable[str], change: Callable[[Queues], Value]) -> web.Response:
        """Do it, and let those hear of it who wait at these queues."""
        said = await self._shelf.transfer(self._settled(change))
        self._shelf.bell.ring(queues)
        return json_of(said)

    async def _settled(self, change: Callable[[Queues], Value]) -> Value:
        said = change(self._shelf.store.queues)
        await self._shelf.settle()
        return said

    async def _delivered(self, request: web.Request, asked: ReceiveMany) -> ReceivedMany:
        """What is there; waits for it as long as is asked."""
        _require(1 <= asked.limit <= MAX_MESSAGES, f"a limit from 1 to {MAX_MESSAGES}")
        _require(0 < asked.visibility_seconds <= MAX_VISIBILITY_SECONDS, "visibilitySeconds above 0, to twelve hours")
        _require(0 <= asked.wait_seconds <= MAX_WAIT_SECONDS, f"waitSeconds from 0 to {MAX_WAIT_SECONDS:.0f}")
        until = time.monotonic() + asked.wait_seconds
        with self._shelf.bell.heard(asked.queues) as rung:
            while True:
                found = await self._shelf.transfer(self._look(asked))
                if found.queues or (found.closed and not found.left) or not await _heard(rung, until):
                    return found
                self._stands(request)

    async def _look(self, asked: ReceiveMany) -> ReceivedMany:
        # A delivery that is forgotten is only made again, so nothing of it need be durable.
        return self._shelf.store.queues.receive_many(
            asked.queues, asked.limit, asked.visibility_seconds, time.monotonic()
        )

    def _stands(self, request: web.Request) -> None:
        """Return if somebody still waits for the answer, of the claim that stood when it was asked for."""
        if request.transport is None or request.transport.is_closing():
            # What is delivered to nobody would be hidden from others.
            raise ended()
        self._access.require(request, GetGrant)


async def _heard(rung: asyncio.Event, until: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            await rung.wait()
    except TimeoutError:
        return False
    rung.clear()
    return True


def _check(messages: tuple[Message, ...]) -> None:
    _require(len(messages) <= MAX_MESSAGES, f"at most {MAX_MESSAGES} messages in one request")
    for message in messages:
        checked_key(message.id)
        _require(len(message.body) <= MAX_MESSAGE_BYTES, f"each message at most {MAX_MESSAGE_BYTES:,} bytes")


def _check_receipts(receipts: tuple[str, ...]) -> None:
    _require(len(receipts) <= MAX_MESSAGES, f"at most {MAX_MESSAGES} receipts in one request")


async def _asked(request: web.Request, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(await whole_body(request, MAX_REQUEST_BYTES), type=kind)
    except UNREADABLE as error:
        raise ProtocolError(f"the request cannot be read: {error}", remedy="send JSON as the protocol says") from error


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise ProtocolError("the request is out of bounds", remedy=f"give {rule}")
