"""Reading bodies: what is wrong with which field, in words."""

import re
from typing import TypeVar

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError, SignatureError
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.signed import public_key

Body = TypeVar("Body", bound=msgspec.Struct)

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_UID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_REMEDY = "see /v1/openapi.json"


def read_body(body: bytes, kind: type[Body]) -> Body:
    """The body as that type. Raises ProtocolError, which names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"the body is no {kind.__name__}: {error}", remedy=_REMEDY) from error
    except UNREADABLE as error:
        raise ProtocolError(f"the body is no JSON: {error}", remedy=f"send a {kind.__name__}; {_REMEDY}") from error


def check_lease_request(request: LeaseRequest) -> None:
    """What no type says. Raises ProtocolError with all faults at once."""
    faults = []
    if request.min_count > request.count:
        faults.append(f"minCount {request.min_count} is above count {request.count}")
    try:
        public_key(request.holder_key)
    except SignatureError as error:
        faults.append(f"holderKey is {error.cause}")
    if faults:
        raise ProtocolError(f"the LeaseRequest contradicts itself: {'; '.join(faults)}", remedy=_REMEDY)


def check_names(namespace: str, uid: str) -> None:
    """Raises ProtocolError unless both, where given, can be names at all."""
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise ProtocolError(f"{namespace[:80]!r} is no namespace", remedy="at most 63 of a-z, 0-9 and '-'")
    if uid and not _UID.fullmatch(uid):
        raise ProtocolError(f"{uid[:80]!r} is no lease's uid", remedy="send the uid that acquire gave")


def read_version(text: str) -> int:
    """The version of a watch. Raises ProtocolError."""
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise ProtocolError(f"version={text[:40]!r} is no version", remedy="send the version of the last view, or 0")
    return int(text)
