"""aiohttp's handler of a connection, with refusals in the project's words: of what is no request it says so in text."""

import asyncio
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from tasklet_runner.doors.limits import DoorLimits
from tasklet_runner.doors.refusals import refusal_body


class HttpHandler(web.RequestHandler):
    """Made for `web.Server`, with its options; one per connection."""

    __slots__ = ()

    @classmethod
    def behind(cls, runner: web.AppRunner, limits: DoorLimits, **options: Any) -> Self:  # noqa: ANN401 - aiohttp's own
        """One for a connection to the application of a runner that was set up, within a door's limits."""
        if runner.server is None:
            raise RuntimeError("the runner was not set up")
        return cls(
            runner.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # no log, as web.AppRunner gives it
            keepalive_timeout=limits.idle_seconds,
            max_line_size=limits.head_bytes,
            max_field_size=limits.head_bytes,
            **options,
        )

    @property
    def hushed(self) -> bool:
        """True while it has as much of its connection as it wants."""
        # The second flag is of later versions of aiohttp alone.
        return self._reading_paused or bool(getattr(self, "_buffer_paused", False))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what cannot be read. Nothing is logged: anybody can send it, as often as he likes.

        Raises ConnectionError when an answer has begun already, or the other side has gone in the midst of its request.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        why = (message or "it cannot be read").partition("\n")[0][:200]
        code, said = "BadRequest", HTTPStatus(status)
        if isinstance(exc, LineTooLong):
            code, said = "HeadTooLarge", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        body = refusal_body(code, f"what came is no request of HTTP/1.1: {why}", "see RFC 9112")
        response = web.Response(status=said, body=body, content_type="application/json")
        response.force_close()
        return response
