"""The store's HTTP door.

`PUT /v1/objects/<key>` with the object's bytes as body and a signed PutGrant in `X-Leasegrid-Grant` -> ObjectInfo as
JSON. The key is one path segment: percent-encoded (RFC 3986), its slashes too. A refusal is an ErrorReply with status
400 (malformed), 401 (signature), 403 (not covered by the grant), 409 (Conflict, Fenced), 410 (LeaseExpired: the
grant's time is over), 413 (larger than granted) or 507 (the store is full or its disk fails).
"""

from urllib.parse import quote, unquote

import msgspec

from tasklet_runner.wire.errors import ProtocolError

GRANT_HEADER = "X-Leasegrid-Grant"
OBJECTS_PATH = "/v1/objects/"
MAX_KEY_BYTES = 4096
"""Of a key in UTF-8; percent-encoded it is at most three times as long."""


class ObjectInfo(msgspec.Struct, frozen=True, array_like=True):
    """An object that is there: key, size in bytes, SHA-256 (hex)."""

    key: str
    size: int
    digest: str


def object_path(key: str) -> str:
    """The request path of an object."""
    return OBJECTS_PATH + quote(key, safe="")


def object_key(path: str) -> str:
    """The key that `object_path` encoded; raises ProtocolError for anything else."""
    encoded = path.removeprefix(OBJECTS_PATH)
    try:
        key = unquote(encoded, errors="strict")
    except UnicodeDecodeError as error:
        raise ProtocolError("an object's key is not UTF-8", remedy="percent-encode its UTF-8 bytes") from error
    if encoded == path or not key or len(key.encode()) > MAX_KEY_BYTES:
        raise ProtocolError(
            f"{path[:200]!r} names no object", remedy=f"{OBJECTS_PATH}<key>, the key of 1 to {MAX_KEY_BYTES} bytes"
        )
    return key
