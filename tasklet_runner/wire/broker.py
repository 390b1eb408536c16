"""The broker's HTTP door: leases for programs, as JSON. `ROUTES` is the whole of it.

A caller shows one of two credentials. The *token* is a ServiceAccount's, of audience `leasegrid`, in
`X-Leasegrid-Token`. The *capability* is one of the lease's own in `X-Leasegrid-Capability`, with a RequestProof signed
by the holder's key in `X-Leasegrid-Proof`; it opens the way to its own lease alone, at every replica, without the API
server. The proof's nonce is `GET /v1/challenge`'s, or the one in `X-Leasegrid-Nonce` of the last answer to a proof;
each serves once. A refusal is a Refusal.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from tasklet_runner.wire.jobs import Instruction, JobReport
from tasklet_runner.wire.leases import LeaseRequest, LeaseView, Name, Receipt
from tasklet_runner.wire.member import ErrorReply, Hint
from tasklet_runner.wire.signed import encode_base64url
from tasklet_runner.wire.statements import RequestProof

TOKEN_HEADER = "X-Leasegrid-Token"  # noqa: S105 - a header's name
CAPABILITY_HEADER = "X-Leasegrid-Capability"
PROOF_HEADER = "X-Leasegrid-Proof"
NONCE_HEADER = "X-Leasegrid-Nonce"
AUDIENCE = "leasegrid"
WATCH_SECONDS = 10.0
"""A watch is answered after so long at the latest."""

STALE_NONCE = "StaleNonce"
"""The code of a refusal whose `X-Leasegrid-Nonce` is to be used for a second try."""


class Accepted(msgspec.Struct, frozen=True):
    """A yes without content."""


class NonceReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A nonce for one proof at this replica; it serves once, within `expires_in` seconds."""

    nonce: str
    expires_in: float


class ResizeRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Want `count` members from now on; those named in `give_back` are released at once."""

    count: Annotated[int, Meta(ge=0, le=100_000)]
    give_back: Annotated[tuple[Name, ...], Meta(max_length=1000)] = ()


class LostReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The holder cannot use this member any more, and why."""

    member: Name
    reason: Annotated[str, Meta(max_length=1024)] = ""


class Refusal(ErrorReply, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal: a stable word, what and where, what to do. `leader`: of code NotLeader, the URL to ask instead."""

    leader: str = ""


class Door(StrEnum):
    """Which credential opens a route: none, a token with this verb on leases, or the same or a capability."""

    OPEN = "Open"
    TOKEN = "Token"  # noqa: S105 - a word
    HOLDER = "Holder"


@dataclass(frozen=True)
class Route:
    """One operation. `verb`: what a token's owner must be allowed on leases.leasegrid.dev; `query`: names and what they
    say; `leader`: answered by the replica that leads alone.
    """

    name: str
    method: str
    path: str
    summary: str
    reply: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None = None
    door: Door = Door.OPEN
    verb: str = ""
    leader: bool = True
    query: tuple[tuple[str, str], ...] = ()


_LEASES = "/v1/namespaces/{namespace}/leases"
_LEASE = f"{_LEASES}/{{uid}}"
_HOLDER = Door.HOLDER

ROUTES: tuple[Route, ...] = (
    Route("acquire", "POST", _LEASES, "Bind members; answered as soon as they are bound.", LeaseView, LeaseRequest,
          Door.TOKEN, "create"),
    Route("acquire-below", "POST", f"{_LEASE}/leases", "Bind members for the coordinator of a job, whose own "
          "lease this is; they end with it.", LeaseView, LeaseRequest, _HOLDER, "create"),
    Route("progress", "POST", f"{_LEASE}/progress", "What the coordinator whose lease this is says of its job; "
          "what it is to do.", Instruction, JobReport, _HOLDER, "update"),
    Route("watch", "GET", _LEASE, "The lease as soon as its version is above `version`, after 10 s at the latest.",
          LeaseView, door=_HOLDER, verb="get", query=(("version", "the version that is known already"),)),
    Route("renew", "POST", f"{_LEASE}/renew", "Move the deadline to now + ttl. With a capability at every replica.",
          LeaseView, door=_HOLDER, verb="update", leader=False),
    Route("resize", "POST", f"{_LEASE}/resize", "Want another number of members; give some back.", LeaseView,
          ResizeRequest, _HOLDER, "update"),
    Route("lost", "POST", f"{_LEASE}/lost", "A member is of no further use; an elastic lease gets another.", LeaseView,
          LostReport, _HOLDER, "update"),
    Route("release", "DELETE", _LEASE, "End the lease; again, the same receipt. At a replica that does "
          "not lead: of the members that the capability lists.", Receipt, door=_HOLDER, verb="delete", leader=False,
          query=(("reason", "why, for the receipt; default: Finished"),)),
    Route("hint", "POST", "/v1/hints", "A member's word on its own state; `/v1/state` of the member decides.", Accepted,
          Hint),
    Route("challenge", "GET", "/v1/challenge", "A nonce for one proof at this replica.", NonceReply, leader=False),
    Route("openapi", "GET", "/v1/openapi.json", "This description.", None, leader=False),
    Route("health", "GET", "/healthz", "200 while requests are answered.", Accepted, leader=False),
)  # fmt: skip
"""In the order in which people want to read them."""


def digest(data: bytes) -> str:
    """SHA-256 in base64url, as it stands in proofs."""
    return encode_base64url(hashlib.sha256(data).digest())


def proof_for(request: tuple[str, str, bytes], capability: str, nonce: str) -> RequestProof:
    """What a proof of this request (method, path with query, body) must say."""
    method, path, body = request
    return RequestProof(
        method=method, path=path, body=digest(body), capability=digest(capability.encode("ascii")), nonce=nonce
    )
