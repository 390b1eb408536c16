"""What the broker answers, read: the reply of the expected type, or the typed error of a refusal."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from tasklet_runner.wire.broker import Refusal
from tasklet_runner.wire.decoding import UNREADABLE
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
from tasklet_runner.wire.leases import Receipt
from tasklet_runner.wire.member import Counters

Reply = TypeVar("Reply", bound=msgspec.Struct)

_ERRORS: tuple[type[LeaseGridError], ...] = (
    PoolEmptyError, CapacityExceededError, UnsupportedError, LeaseEndedError, UnreachableError, SignatureError,
    ProtocolError,
)  # fmt: skip
LONGEST_RETRY_AFTER = 2.0
"""Seconds; a broker that asks for more is asked again all the same."""

_BY_CODE = {kind.code: kind for kind in _ERRORS}
_SERVER_ERRORS = 500


def refusal_of(status: int, body: bytes, fields: Mapping[str, str]) -> LeaseGridError:
    """The typed error of a refusal; one that is not the broker's own (a proxy's) counts as no answer."""
    try:
        refusal = msgspec.json.decode(body, type=Refusal)
        cause = refusal.cause or f"the broker refuses with status {status} and gives no reason"
    except UNREADABLE:
        return UnreachableError(
            f"something between here and the broker answered with status {status}", remedy="check proxies and meshes"
        )
    if refusal.code == NotLeaderError.code:
        return NotLeaderError(refusal.leader)
    if refusal.code == OverloadedError.code:
        seconds = fields.get("Retry-After", "1")
        wait = float(seconds) if seconds.isdecimal() else 1.0
        return OverloadedError(cause, remedy=refusal.remedy, retry_after=min(wait, LONGEST_RETRY_AFTER))
    kind = _BY_CODE.get(refusal.code, UnreachableError if status >= _SERVER_ERRORS else None)
    if kind is not None:
        return kind(cause, remedy=refusal.remedy)
    return RefusedError(refusal.code, cause, remedy=refusal.remedy)


def decoded(body: bytes, kind: type[Reply]) -> Reply:
    """The answer as that type. Raises ProtocolError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise ProtocolError(
            f"the broker's answer is no {kind.__name__}: {error}", remedy="use the same version on both sides"
        ) from error


def together(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt of a lease whose parts were released one by one."""
    counters = Counters()
    for one in receipts:
        counters = counters.plus(one.counters)
    return replace(
        receipts[0],
        members=tuple(name for one in receipts for name in one.members),
        tasklets=counters.tasklets,
        scratch_bytes=sum(one.scratch_bytes for one in receipts),
        released_in_milliseconds=sum(one.released_in_milliseconds for one in receipts),
        unverified=tuple(name for one in receipts for name in one.unverified),
        counters=counters,
    )
