"""How much the broker takes on, in all and of one caller."""

from dataclasses import dataclass

from leasegrid_operator.broker.rates import Rate

_OF_CALLER = Rate(500.0, 1000.0)
_OF_ADDRESS = Rate(2000.0, 4000.0)


@dataclass(frozen=True)
class Room:
    """So many requests at once in all, and of one caller."""

    total: int
    of_one: int


@dataclass(frozen=True)
class Limits:
    """Claims, upkeep (renew, resize, lost, release), watches and what is open to all have rooms of their own, so that
    a crowd in one never stands in the way of another.

    `caller` and `address`: requests per second of one identity or lease, and of one peer. `reviews`: questions to the
    API server at once; `verdict_seconds` and `refusal_seconds`: so long its answers are remembered, `verdicts` of them.
    `nonces`: used ones that are remembered, each for `nonce_seconds`. A head or body must have come within
    `arrival_seconds`, an answer have gone within `departure_seconds`; an idle connection is kept for `idle_seconds`.
    """

    claims: Room = Room(1024, 256)
    upkeep: Room = Room(1024, 256)
    watches: Room = Room(4096, 512)
    others: Room = Room(512, 128)
    caller: Rate = _OF_CALLER
    address: Rate = _OF_ADDRESS
    callers: int = 8192
    body_bytes: int = 64 * 1024
    head_bytes: int = 32 * 1024
    connections: int = 4096
    reviews: Room = Room(32, 512)
    verdicts: int = 4096
    verdict_seconds: float = 10.0
    refusal_seconds: float = 3.0
    nonces: int = 100_000
    nonce_seconds: float = 60.0
    arrival_seconds: float = 10.0
    departure_seconds: float = 30.0
    idle_seconds: float = 75.0
