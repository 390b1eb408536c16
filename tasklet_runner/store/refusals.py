"""How a store says no over HTTP: an ErrorReply and its status, the same at every door."""

import math
from http import HTTPStatus

import msgspec
from aiohttp import web

from tasklet_runner.wire.errors import (
    LeaseGridError,
    ObjectConflictError,
    OverloadedError,
    ProtocolError,
    RefusedError,
    SignatureError,
    StoreError,
    StoreFencedError,
)
from tasklet_runner.wire.member import ErrorReply

_REFUSALS = {
    "NoSession": HTTPStatus.UNAUTHORIZED,
    "Unauthenticated": HTTPStatus.UNAUTHORIZED,
    "NotGranted": HTTPStatus.FORBIDDEN,
    "NotFound": HTTPStatus.NOT_FOUND,
    "Conflict": HTTPStatus.CONFLICT,
    "Fenced": HTTPStatus.CONFLICT,
    "NotReady": HTTPStatus.CONFLICT,
    "TooSlow": HTTPStatus.REQUEST_TIMEOUT,
    "LeaseExpired": HTTPStatus.GONE,
    "TooLarge": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "RangeNotSatisfiable": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    "DigestMismatch": HTTPStatus.UNPROCESSABLE_ENTITY,
}
_STATUS: tuple[tuple[type[LeaseGridError], HTTPStatus], ...] = (
    (OverloadedError, HTTPStatus.TOO_MANY_REQUESTS),
    (SignatureError, HTTPStatus.UNAUTHORIZED),
    (ProtocolError, HTTPStatus.BAD_REQUEST),
    (StoreFencedError, HTTPStatus.CONFLICT),
    (ObjectConflictError, HTTPStatus.CONFLICT),
    (StoreError, HTTPStatus.INSUFFICIENT_STORAGE),
)


def refusal(error: LeaseGridError) -> web.Response:
    """The answer that says it."""
    if isinstance(error, RefusedError):
        status, code = _REFUSALS.get(error.reason, HTTPStatus.BAD_REQUEST), error.reason
    else:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)
        code = error.code
    reply = ErrorReply(code=code, cause=error.cause, remedy=error.remedy)
    fields = {"Retry-After": str(math.ceil(error.retry_after))} if isinstance(error, OverloadedError) else None
    body = msgspec.json.encode(reply)
    return web.Response(status=status, body=body, content_type="application/json", headers=fields)
