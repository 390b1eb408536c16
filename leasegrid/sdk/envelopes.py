"""What stands before the state in a checkpoint of a program: one block, so that the state's own blocks keep theirs.

Format: JSON, filled up with spaces to 4096 bytes; then the state as its codec wrote it.
"""

import msgspec

from tasklet_runner.durable.deltas import BLOCK_BYTES
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import CheckpointVersionError


class Envelope(msgspec.Struct, frozen=True):
    """The codec's name, the version of the state's shape, and the steps that were done."""

    codec: str
    state_version: int
    step: int


def encode(envelope: Envelope) -> bytes:
    """One block."""
    return msgspec.json.encode(envelope).ljust(BLOCK_BYTES)


def decode(payload: bytearray, codec: str, state_version: int) -> tuple[Envelope, memoryview]:
    """The envelope of a payload, and the state's bytes.

    Raises CheckpointVersionError: another codec or version than the program's wrote it, or no `Durable` at all.
    """
    try:
        envelope = msgspec.json.decode(bytes(payload[:BLOCK_BYTES]).rstrip(), type=Envelope)
    except UNREADABLE as error:
        raise CheckpointVersionError(
            f"the checkpoint was not written by Durable: {error}", remedy="give the state another key"
        ) from error
    found, wanted = (envelope.codec, envelope.state_version), (codec, state_version)
    if found != wanted:
        raise CheckpointVersionError(
            f"the checkpoint holds a state of version {found[1]} written as {found[0]}; this program reads version"
            f" {wanted[1]} written as {wanted[0]}",
            remedy="run the program that wrote it, convert it, or delete the checkpoint to begin anew",
        )
    return envelope, memoryview(payload)[BLOCK_BYTES:]
