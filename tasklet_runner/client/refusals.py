"""A store's refusal as the error that it stands for."""

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import (
    CheckpointDamagedError,
    CheckpointVersionError,
    LeaseGridError,
    ProtocolError,
    RefusedError,
    StoreError,
    StoreFencedError,
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
    """What a store's disk and its checkpoints say as themselves, all others as RefusedError with their reason."""
    if (kind := _AS_THEMSELVES.get(reply.code)) is not None:
        return kind(reply.cause, remedy=reply.remedy)
    return RefusedError(reply.code, reply.cause, remedy=reply.remedy)
