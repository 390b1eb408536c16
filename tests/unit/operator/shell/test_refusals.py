"""Answers of the API server become the error that says what to do."""

import json

import pytest

from leasegrid_operator.errors import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidObjectError,
    NamespaceEndingError,
    NotFoundError,
    QuotaExceededError,
    ServerUnavailableError,
)
from leasegrid_operator.refusals import refusal


def status(reason: str, message: str, causes: list[dict[str, str]] | None = None) -> bytes:
    return json.dumps(
        {"kind": "Status", "reason": reason, "message": message, "details": {"causes": causes or []}}
    ).encode()


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        pytest.param(404, status("NotFound", "no such pod"), NotFoundError, id="404: not found"),
        pytest.param(409, status("AlreadyExists", "is there"), AlreadyExistsError, id="409 of a create: exists"),
        pytest.param(409, status("Conflict", "modified"), ConflictError, id="409 of a patch: conflict"),
        pytest.param(403, status("Forbidden", "no right"), ForbiddenError, id="403: forbidden"),
        pytest.param(403, status("Forbidden", "exceeded quota: pods"), QuotaExceededError, id="403 of a quota"),
        pytest.param(
            403, status("Forbidden", "status unknown for quota: q"), QuotaExceededError, id="403 of a new quota"
        ),
        pytest.param(
            403,
            status("Forbidden", "is being terminated", [{"reason": "NamespaceTerminating"}]),
            NamespaceEndingError,
            id="403 of a namespace that ends",
        ),
        pytest.param(422, status("Invalid", "spec.count"), InvalidObjectError, id="422: invalid"),
        pytest.param(410, status("Expired", "too old"), GoneError, id="410: gone"),
        pytest.param(401, status("Unauthorized", "Unauthorized"), ServerUnavailableError, id="401: later"),
        pytest.param(429, status("TooManyRequests", "slow"), ServerUnavailableError, id="429: later"),
        pytest.param(500, status("InternalError", "etcd"), ServerUnavailableError, id="500: later"),
        pytest.param(503, b"no healthy upstream", ServerUnavailableError, id="503 of a proxy: later"),
        pytest.param(502, b"[1]", ServerUnavailableError, id="502 with other JSON: later"),
    ],
)
def test_the_kind_of_error_for_a(code: int, body: bytes, kind: type[ClusterError]) -> None:
    error = refusal("patch Pod default/a", code, body)

    assert type(error) is kind
    assert error.status == code
    assert error.cause.startswith("patch Pod default/a: ")


def test_the_cause_says_what_the_server_said_in_bounds() -> None:
    assert refusal("get", 503, b"no healthy upstream").cause == "get: no healthy upstream"
    assert refusal("get", 500, b"").cause == "get: no reason given"
    assert len(refusal("get", 422, status("Invalid", "x" * 100_000)).cause) < 1100


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 0.0), ("Wed, 21 Oct 2026", 0.0)])
def test_the_servers_wish_when_to_come_again_is_kept(header: str, seconds: float) -> None:
    assert refusal("get", 429, b"", header).retry_after == seconds
