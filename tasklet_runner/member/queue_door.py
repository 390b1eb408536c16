"""The queues of a leased store over HTTP; see `wire.queues`."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from tasklet_runner.member.access import Access
from tasklet_runner.member.answers import Handler, json_of, worded
from tasklet_runner.member.shelf import Shelf
from tasklet_runner.store.batch_serving import body_of
from tasklet_runner.store.queues import Queues
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.queues import (
    MAX_MESSAGE_BYTES,
    MAX_MESSAGES,
    MAX_VISIBILITY_SECONDS,
    QUEUES_PATH,
    Ack,
    Acknowledged,
    Push,
    Pushed,
    Receive,
    Received,
    queue_name,
)
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.store import checked_key

_Work = Callable[[web.Request, Queues, str], Awaitable[msgspec.Struct]]
Asked = TypeVar("Asked")


class QueueDoor:
    """Asks who may, has the store do it, and answers when it is as durable as the store."""

    def __init__(self, access: Access, shelf: Shelf) -> None:
        self._access = access
        self._shelf = shelf

    def routes(self) -> tuple[web.RouteDef, ...]:
        """All of them; every error leaves as a refusal."""
        verbs: dict[str, tuple[type[PutGrant] | type[GetGrant], _Work]] = {
            "push": (PutGrant, _push),
            "close": (PutGrant, _close),
            "receive": (GetGrant, _receive),
            "ack": (GetGrant, self._acknowledge),
        }
        return tuple(
            web.post(f"{QUEUES_PATH}{{name:.+}}/{verb}", worded(self._handler(kind, work)))
            for verb, (kind, work) in verbs.items()
        )

    def _handler(self, kind: type[PutGrant] | type[GetGrant], work: _Work) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            name = queue_name(request.raw_path.partition("?")[0])
            self._access.require(request, kind, name)
            return json_of(await self._shelf.transfer(self._settled(work, request, name)))

        return answer

    async def _settled(self, work: _Work, request: web.Request, name: str) -> msgspec.Struct:
        said = await work(request, self._shelf.store.queues, name)
        if not isinstance(said, Received):
            # A delivery that is forgotten is only made again.
            await self._shelf.settle()
        return said

    async def _acknowledge(self, request: web.Request, queues: Queues, name: str) -> Acknowledged:
        asked = await _asked(request, Ack)
        if asked.commit is not None:
            # Commit records are the holder's own word.
            self._access.require_session(request)
        _require(len(asked.receipts) <= MAX_MESSAGES, f"at most {MAX_MESSAGES} receipts in one request")
        return Acknowledged(queues.acknowledge(name, asked))


async def _push(request: web.Request, queues: Queues, name: str) -> Pushed:
    asked = await _asked(request, Push)
    _require(len(asked.messages) <= MAX_MESSAGES, f"at most {MAX_MESSAGES} messages in one request")
    for message in asked.messages:
        checked_key(message.id)
        _require(len(message.body) <= MAX_MESSAGE_BYTES, f"a message has at most {MAX_MESSAGE_BYTES:,} bytes")
    return Pushed(queues.push(name, asked.messages))


async def _close(_: web.Request, queues: Queues, name: str) -> Pushed:
    queues.close(name)
    return Pushed(0)


async def _receive(request: web.Request, queues: Queues, name: str) -> Received:
    asked = await _asked(request, Receive)
    _require(1 <= asked.limit <= MAX_MESSAGES, f"a limit from 1 to {MAX_MESSAGES}")
    _require(0 < asked.visibility_seconds <= MAX_VISIBILITY_SECONDS, "visibilitySeconds above 0, up to twelve hours")
    return queues.receive(name, asked.limit, asked.visibility_seconds, time.monotonic())


async def _asked(request: web.Request, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(await body_of(request), type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the request cannot be read: {error}", remedy="send JSON as the protocol says") from error


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise ProtocolError("the request is out of bounds", remedy=f"give {rule}")
