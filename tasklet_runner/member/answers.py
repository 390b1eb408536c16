"""How a store member's door answers: JSON, and every error as a refusal."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import ClientConnectionResetError, web

from tasklet_runner.store.refusals import refusal
from tasklet_runner.wire.errors import LeaseGridError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def worded(handler: Handler) -> Handler:
    """The handler, with its errors in words."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except LeaseGridError as error:
            return refusal(error)
        except ClientConnectionResetError:
            # The asker is gone; nobody reads the answer.
            return web.Response(status=HTTPStatus.BAD_REQUEST)

    return answer


def json_of(reply: msgspec.Struct) -> web.Response:
    """The reply as JSON."""
    return web.Response(body=msgspec.json.encode(reply), content_type="application/json")
