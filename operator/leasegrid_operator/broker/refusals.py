"""Every error as an answer: a status, and a stable word, what and where, what to do."""

import math
from dataclasses import dataclass

import msgspec
from aiohttp import web

from tasklet_runner.wire.broker import ROUTES, STALE_NONCE, Refusal
from tasklet_runner.wire.errors import (
    CapacityExceededError,
    LeaseEndedError,
    LeaseGridError,
    NotLeaderError,
    OverloadedError,
    PoolEmptyError,
    ProtocolError,
    RefusedError,
    SignatureError,
    UnreachableError,
    UnsupportedError,
)

_STATUS: dict[str, int] = {
    PoolEmptyError.code: 409,
    CapacityExceededError.code: 409,
    UnsupportedError.code: 422,
    LeaseEndedError.code: 410,
    ProtocolError.code: 400,
    SignatureError.code: 401,
    UnreachableError.code: 503,
    NotLeaderError.code: 503,
    OverloadedError.code: 429,
    "Unauthenticated": 401,
    STALE_NONCE: 401,
    "Forbidden": 403,
    "Conflict": 409,
}
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Answer:
    """A status, a body as JSON, and fields of the head; `code`: the stable word of a refusal, `OK` where it is none."""

    status: int
    body: bytes
    fields: dict[str, str]
    code: str = "OK"

    def response(self) -> web.Response:
        """As aiohttp's."""
        return web.Response(
            body=self.body, status=self.status, content_type="application/json", headers=self.fields or None
        )


def answer_for(error: LeaseGridError) -> Answer:
    """What is said of an error; one that has no status of its own is the server's."""
    code = error.reason if isinstance(error, RefusedError) else error.code
    leader = error.leader if isinstance(error, NotLeaderError) else ""
    retry_after = error.retry_after if isinstance(error, OverloadedError) else 0.0
    fields = {"Retry-After": str(math.ceil(retry_after))} if retry_after else {}
    body = Refusal(code=code, cause=error.cause, remedy=error.remedy, leader=leader)
    return Answer(_STATUS.get(code, _SERVER_ERROR), msgspec.json.encode(body), fields, code)


def answer_for_http(error: web.HTTPException, method: str, path: str, most_bytes: int) -> Answer:
    """What is said where aiohttp itself refuses: an unknown path, a wrong method, a body that is too large."""
    what = f"{method} {path[:200]}"
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return _said(413, "TooLarge", f"the body of {what} is too large", f"send at most {most_bytes} bytes")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return _said(405, "MethodNotAllowed", f"{what}: there is no such method", f"use {allowed}", Allow=allowed)
    if isinstance(error, web.HTTPNotFound):
        known = ", ".join(dict.fromkeys(route.path for route in ROUTES))
        return _said(404, "NotFound", f"{what}: there is no such path", f"there is {known}")
    return _said(error.status, "BadRequest", f"{what}: {error.reason}", "see /v1/openapi.json")


def broken(request_id: str) -> Answer:
    """What is said of a fault of the broker's own; `request_id` stands beside it in the log."""
    cause = f"the broker failed at this request ({request_id})"
    return _said(_SERVER_ERROR, "Internal", cause, "try again; the operator's log has the reason under this number")


def _said(status: int, code: str, cause: str, remedy: str, **fields: str) -> Answer:
    return Answer(status, msgspec.json.encode(Refusal(code=code, cause=cause, remedy=remedy)), fields, code)
