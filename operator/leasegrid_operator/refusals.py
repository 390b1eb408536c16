"""Which error an answer of the API server is: pure, from HTTP's status and the `Status` object in the body.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts and the reasons of `metav1.StatusReason`.
"""

from typing import Any

import msgspec

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
from tasklet_runner.wire.decoding import UNREADABLE

LONGEST_MESSAGE = 1024
"""A message may repeat the whole object that was refused; logs and conditions need its beginning."""

_KINDS: dict[int, tuple[type[ClusterError], str]] = {
    400: (InvalidObjectError, "correct the request"),
    401: (ServerUnavailableError, "the operator's token is not accepted: check its ServiceAccount"),
    403: (ForbiddenError, "grant the operator the right, or change the rule that refuses"),
    404: (NotFoundError, ""),
    405: (InvalidObjectError, "the server does not allow this verb for the kind"),
    409: (ConflictError, "read the object again"),
    410: (GoneError, "list from the start"),
    413: (InvalidObjectError, "make the object smaller"),
    415: (InvalidObjectError, "send a content type that the server accepts"),
    422: (InvalidObjectError, "correct the fields that the message names"),
}
_OF_A_QUOTA = ("exceeded quota", "status unknown for quota")
"""The API has no reason of its own for it. The second is said of a quota that was not counted yet."""
_LATER = "the API server is not available: it is tried again"


def refusal(what: str, status: int, body: bytes, retry_after: str = "") -> ClusterError:
    """The error for an answer of status 300 or more; `what` says which request, for the cause."""
    said = _status_object(body)
    kind, remedy = _kind(status, said)
    cause = f"{what}: {_message(said, body)[:LONGEST_MESSAGE]}"
    seconds = float(retry_after) if retry_after.isdecimal() else 0.0
    return kind(cause, remedy=remedy, status=status, retry_after=seconds)


def _kind(status: int, said: dict[str, Any]) -> tuple[type[ClusterError], str]:
    if said.get("reason") == "AlreadyExists":
        return AlreadyExistsError, "read the object of that name"
    if status == 403 and any(words in str(said.get("message", "")) for words in _OF_A_QUOTA):
        return QuotaExceededError, "raise the namespace's ResourceQuota, or lower what the pools ask for"
    if status == 403 and _has_cause(said, "NamespaceTerminating"):
        return NamespaceEndingError, "the namespace is being deleted: use another"
    return _KINDS.get(status, (ServerUnavailableError, _LATER))


def _has_cause(said: dict[str, Any], reason: str) -> bool:
    details = said.get("details")
    causes = details.get("causes", []) if isinstance(details, dict) else []
    return any(cause.get("reason") == reason for cause in causes if isinstance(cause, dict))


def _message(said: dict[str, Any], body: bytes) -> str:
    return str(said.get("message") or "") or body.decode(errors="replace").strip() or "no reason given"


def _status_object(body: bytes) -> dict[str, Any]:
    """The `Status`; empty for anything else, such as the plain text of a proxy between."""
    try:
        said = msgspec.json.decode(body)
    except UNREADABLE:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}
