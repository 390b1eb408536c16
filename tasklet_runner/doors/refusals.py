"""What a door says before any application has seen the request: status, and what, where, what to do as JSON."""

from http import HTTPStatus

import msgspec

from tasklet_runner.wire.errors import OverloadedError
from tasklet_runner.wire.member import ErrorReply

RETRY_SECONDS = 1
"""Whoever finds a door full asks again after so long."""


def refusal_body(code: str, cause: str, remedy: str) -> bytes:
    """The body of a refusal."""
    return msgspec.json.encode(ErrorReply(code=code, cause=cause, remedy=remedy))


def last_words(status: HTTPStatus, body: bytes) -> bytes:
    """A whole answer, after which the connection is closed."""
    retry = f"Retry-After: {RETRY_SECONDS}\r\n" if status is HTTPStatus.TOO_MANY_REQUESTS else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n{retry}"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def crowded(who: str) -> bytes:
    """The answer to a connection for which there is no room. `who`: whose door it is."""
    cause = f"{who} has as many connections as it takes, in all or of this address"
    body = refusal_body(OverloadedError.code, cause, "keep one open and use it again, or try again in a second")
    return last_words(HTTPStatus.TOO_MANY_REQUESTS, body)


def too_long(who: str, most_bytes: int) -> bytes:
    """The answer to a head without end."""
    cause = f"the head of a request to {who} has more than {most_bytes:,} bytes"
    body = refusal_body("HeadTooLarge", cause, "send fewer or shorter fields")
    return last_words(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, body)
