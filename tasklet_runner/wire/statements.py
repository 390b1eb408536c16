"""What the fabric, the holder and the coordinator sign. Times are UNIX seconds of the signer's clock.

Members never compare these times with their own wall clock: see `tasklet_runner.member.states` for the conversion
through the bind's `iat`.
"""

import msgspec

MEMBERS_PER_CAPABILITY = 64
"""One capability lists at most so many members, so that it stays a small header."""

MAX_PRESENTATION_SECONDS = 300
"""`expires_at` is at most so far after `issued_at`."""


class MemberGrant(msgspec.Struct, frozen=True, array_like=True):
    """One member of a lease: its name, the incarnation of its process, the epoch of its bind."""

    member: str
    incarnation: str
    epoch: int


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """The fabric's order to a member: from now on you belong to this lease."""

    lease_uid: str = msgspec.field(name="lease")
    holder_key: str = msgspec.field(name="holder")
    member: str
    incarnation: str
    epoch: int
    issued_at: float = msgspec.field(name="iat")
    deadline: float


class Confirm(msgspec.Struct, frozen=True, kw_only=True):
    """The fabric's word that a provisional bind was counted."""

    lease_uid: str = msgspec.field(name="lease")
    member: str
    incarnation: str
    epoch: int


class Retire(msgspec.Struct, frozen=True, kw_only=True):
    """The fabric's order to a ready member: end. Arbitrated like a bind."""

    member: str
    incarnation: str
    epoch: int


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The fabric's own release of a bind, for adoption and revocation."""

    lease_uid: str = msgspec.field(name="lease")
    member: str
    incarnation: str
    epoch: int


class Capability(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This lease, this holder's key, these members, until then. Useless without the holder's private key.

    `ttl_seconds` and `last_deadline` let any replica of the fabric renew it: to its now + ttl, never past the last
    deadline. 0: not renewable by itself.
    """

    lease_uid: str = msgspec.field(name="lease")
    holder_key: str = msgspec.field(name="holder")
    members: tuple[MemberGrant, ...]
    issued_at: float = msgspec.field(name="iat")
    deadline: float
    expires_at: float = msgspec.field(name="exp")
    ttl_seconds: int = msgspec.field(name="ttl", default=0)
    last_deadline: float = msgspec.field(name="last", default=0.0)


class RequestProof(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder signs to use a capability at the broker: this request, once.

    `path` with its query, as sent; `body` and `capability` are SHA-256 of the request's body and of the capability's
    text in base64url; `nonce` is one that the replica itself gave out, so that no clock counts and a replay, even to
    another replica, is worthless.
    """

    method: str
    path: str
    body: str
    capability: str
    nonce: str


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder signs to open a connection: the member's own nonce, so that a replay is worthless."""

    nonce: str
    member: str
    incarnation: str


class PutGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The coordinator's leave for a member to put the output of one attempt into the store."""

    store: str
    term: int
    key_prefix: str = msgspec.field(name="prefix")
    max_bytes: int = msgspec.field(name="bytes")
    expires_at: float = msgspec.field(name="exp")


class GetGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The coordinator's leave for a member to read the objects of a store whose keys begin with the prefix."""

    store: str
    term: int
    key_prefix: str = msgspec.field(name="prefix")
    expires_at: float = msgspec.field(name="exp")


class CheckpointGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The coordinator's leave for a member to read, write and delete the checkpoints under one key of a store.

    `epoch` rises with each attempt at the chunk: whoever writes with a lower one than that of the newest checkpoint is
    fenced.
    """

    store: str
    term: int
    key: str
    epoch: int
    max_bytes: int = msgspec.field(name="bytes")
    expires_at: float = msgspec.field(name="exp")
