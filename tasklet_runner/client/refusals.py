"""A store's refusal as the error that it stands for."""

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import (
    CheckpointDamagedError,
    CheckpointVersionError,
    LeaseGridError,
    OverloadedError,
    ProtocolError,
    RefusedError,
    StoreError,
    StoreFencedError,
    UnreachableError,
)
from tasklet_runner.wire.member import ErrorReply

_AS_THEMSELVES = {
    kind.code: kind for kind in (StoreFencedError, CheckpointDamagedError, CheckpointVersionError, StoreError)
}


def reply_of(status: int, body: bytes) -> ErrorReply:
    """The refusal that stands in an answer. Raises ProtocolError when there is none."""
    try:
        return msgspec.json.decode(body, type=ErrorReply)
    except UNREADABLE as error:
        raise ProtocolError(
            f"an answer of status {status} that cannot be read", remedy="is it a store's endpoint?"
        ) from error


def error_of(reply: ErrorReply) -> LeaseGridError:
    """What a store's disk and its checkpoints say as themselves, that it is crowded as UnreachableError, all others as
    RefusedError with their reason.
    """
    if reply.code == OverloadedError.code:
        # For now it is as if it were not reached: whoever tries again later in that case does so in this one.
        return UnreachableError(reply.cause, remedy=reply.remedy)
    if (kind := _AS_THEMSELVES.get(reply.code)) is not None:
        return kind(reply.cause, remedy=reply.remedy)
    return RefusedError(reply.code, reply.cause, remedy=reply.remedy)
