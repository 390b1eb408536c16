"""The store's HTTP door: that of a job's store, and that of a leased Memory or Block member.

Objects are write-once. An object's key is one path segment: percent-encoded (RFC 3986), its slashes too.

`PUT /v1/objects/<key>` with the object's bytes as body -> ObjectInfo as JSON. `X-Leasegrid-Digest`, if given, is
checked before anything is visible: a SHA-256 or a checksum. Who reckons it while sending gives `after` there, and a
checksum as the last 32 bytes of the body, whose Content-Length counts them. The same bytes again are no error.
`GET /v1/objects/<key>` -> the bytes, with `Range` those of one range (RFC 9110, section 14: 206, or 416), and
`X-Leasegrid-Digest` of the whole object · `HEAD /v1/objects/<key>` likewise, without the bytes.

Many objects at once, framed as `wire.batches` says, in flat memory on both sides:
`POST /v1/batch`, the body a batch -> BatchReply. All of its objects become visible in one transaction, or none: one
that is refused, too many, cut off, or a key that stands twice, refuses the batch.
`POST /v1/batch/get` BatchRequest -> the batch, in the order of the keys. 404 names the first keys that are not there,
before anything is sent; an answer that is cut off has failed. On one machine: see `wire.neighbours`.

Who puts shows a signed PutGrant in `X-Leasegrid-Grant`, who gets a signed GetGrant; a grant covers the keys below
`<prefix>/`. It is signed by the coordinator of a job's store; at a member by the lease's holder, with the lease's uid
as `store` and the member's epoch as `term`. Or, at a member, who does either shows a session in `X-Leasegrid-Session`.

A leased member besides:
`GET /v1/challenge` -> ChallengeReply · `POST /v1/session` SessionRequest -> SessionReply, and under a session
`GET /v1/objects?prefix=&after=&limit=` -> ObjectPage · `GET /v1/commits?stage=&first=&limit=` -> CommitPage: the
records of a stage with an index of at least `first`, in the order of their indexes (or by a grant of everything,
`wire.store_access`). Queues: see `wire.queues`; checkpoints, at both doors: see `wire.checkpoints`.
A session ends with the member's claim, at once; transfers under way are cut off.

A refusal is an ErrorReply with status 400 (malformed), 401 (signature, or no such session), 403 (not covered by the
grant), 404 (NotFound), 409 (Conflict, Fenced, NotReady), 410 (LeaseExpired: the lease's or the grant's time is over),
413 (larger than granted), 416 (RangeNotSatisfiable), 422 (DigestMismatch) or 507 (the store is full or its disk fails).
"""

from urllib.parse import quote, unquote

import msgspec

from tasklet_runner.wire.errors import ProtocolError

GRANT_HEADER = "X-Leasegrid-Grant"
SESSION_HEADER = "X-Leasegrid-Session"
DIGEST_HEADER = "X-Leasegrid-Digest"
"""The digest of the whole object in hex (`wire.digests`)."""

DIGEST_AFTER = "after"
"""In place of the digest: a checksum stands behind the bytes, as CHECKSUM_DIGITS digits."""

CHECKSUM_DIGITS = 32

OBJECTS_PATH = "/v1/objects/"
LISTING_PATH = "/v1/objects"
COMMITS_PATH = "/v1/commits"
CHALLENGE_PATH = "/v1/challenge"
SESSION_PATH = "/v1/session"
BATCH_PATH = "/v1/batch"
BATCH_GET_PATH = "/v1/batch/get"
MAX_PAGE_OBJECTS = 1000
MAX_KEY_BYTES = 4096
"""Of a key in UTF-8; percent-encoded it is at most three times as long."""


class ObjectInfo(msgspec.Struct, frozen=True, array_like=True):
    """An object that is there: key, size in bytes, digest in hex (SHA-256; checksum of one that came in a batch)."""

    key: str
    size: int
    digest: str


class ObjectPage(msgspec.Struct, frozen=True):
    """Objects by key in the order of UTF-8 bytes. `next_after`: the `after` of the next page; empty at the end."""

    objects: tuple[ObjectInfo, ...]
    next_after: str = ""


class ChallengeReply(msgspec.Struct, frozen=True):
    """What the holder signs as a `Challenge` statement; good once, for a minute."""

    nonce: str
    member: str
    incarnation: str


class SessionRequest(msgspec.Struct, frozen=True):
    """The holder's capability, and the `Challenge` statement signed with the holder's key."""

    capability: str
    challenge: str


class SessionReply(msgspec.Struct, frozen=True):
    """A bearer of `session` is the holder until the claim ends; `seconds_left` until the member's present deadline."""

    session: str
    seconds_left: float


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
    if encoded == path:
        raise ProtocolError(f"{path[:200]!r} names no object", remedy=f"{OBJECTS_PATH}<key>")
    return checked_key(key)


def checked_key(key: str) -> str:
    """The key, if it may be one; raises ProtocolError."""
    # SQLite ends a name of its JSON at U+0000, and would take it for another.
    if not key or "\0" in key or len(key.encode(errors="surrogatepass")) > MAX_KEY_BYTES:
        raise ProtocolError(
            f"{key[:200]!r} names no object", remedy=f"a key has 1 to {MAX_KEY_BYTES} bytes, none of them zero"
        )
    return key
