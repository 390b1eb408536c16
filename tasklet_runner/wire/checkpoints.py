"""Checkpoints at a store's door: of each key the newest whole one, of which writers of older epochs are fenced.

A key is one path segment, percent-encoded with its slashes, as an object's is (`wire.store`).

`GET /v1/checkpoints/<key>` -> the payload, with its generation, epoch and checksum as headers; 404 NotFound when there
is none, 507 CheckpointDamaged when there were some and none is whole, CheckpointVersion when a later release wrote it.
`PUT /v1/checkpoints/<key>?generation=G` the payload -> CheckpointInfo. G is above that of the newest one.
`POST /v1/checkpoints/<key>/deltas?generation=G&base=B&size=N` a delta (`durable.deltas`) that turns the payload of the
newest one, which is B, into one of N bytes -> CheckpointInfo. 409 FullWanted when the deltas have grown too long: put a
full one.
`POST /v1/checkpoints/<key>/epoch` -> CheckpointInfo: who asks is the writer from now on, at an epoch above all before.
`DELETE /v1/checkpoints/<key>` -> an empty answer, also when there is none.

`X-Leasegrid-Digest` of what is put or posted is checked before it counts. What was put already, by the same epoch with
the same generation and checksum, is no error. A checkpoint is durable when the answer comes.

Who asks shows a signed CheckpointGrant for exactly this key in `X-Leasegrid-Grant`; its epoch is the writer's, and a
GET under it fences all lower ones: the attempt that reads is the one that goes on. Or, at a leased member, a session,
and the writer's epoch in `X-Leasegrid-Epoch`. Refusals are those of `wire.store`; 409 Fenced: a later epoch writes.
"""

from urllib.parse import quote, unquote

import msgspec

from tasklet_runner.wire.errors import ProtocolError

CHECKPOINTS_PATH = "/v1/checkpoints/"
DELTAS = "deltas"
EPOCH = "epoch"

GENERATION_HEADER = "X-Leasegrid-Generation"
EPOCH_HEADER = "X-Leasegrid-Epoch"

FULL_WANTED = "FullWanted"
"""The reason of a refused delta after which the whole payload is to be put."""

MAX_KEY_BYTES = 180
"""Of a key as `encoded_key` writes it: with what stands behind it, it is the name of a file."""


class CheckpointInfo(msgspec.Struct, frozen=True):
    """The newest checkpoint of a key, or, with generation 0, only the epoch of its writer. `size`: of its payload."""

    generation: int
    epoch: int
    size: int = 0


def encoded_key(key: str) -> str:
    """The key as one segment of a path and as the stem of a file's name. Raises ProtocolError."""
    try:
        # Dots too: behind the first one stands what the file is.
        encoded = quote(key, safe="").replace(".", "%2E")
    except UnicodeEncodeError as error:
        raise ProtocolError(f"the key {key!r} is not text", remedy="give the checkpoint another key") from error
    if not 1 <= len(encoded) <= MAX_KEY_BYTES:
        raise ProtocolError(
            f"the key {key[:200]!r} has {len(encoded)} characters when it is percent-encoded",
            remedy=f"give a checkpoint a key of 1 to {MAX_KEY_BYTES}",
        )
    return encoded


def decoded_key(encoded: str) -> str:
    """The key that `encoded_key` wrote, however its letters were encoded on the way. Raises ProtocolError."""
    try:
        key = unquote(encoded, errors="strict")
    except UnicodeDecodeError as error:
        raise ProtocolError("a checkpoint's key is not UTF-8", remedy="percent-encode its UTF-8 bytes") from error
    encoded_key(key)
    return key


def checkpoint_path(key: str, part: str = "") -> str:
    """The request path of a checkpoint, or of its `DELTAS` or `EPOCH`. Raises ProtocolError."""
    return CHECKPOINTS_PATH + encoded_key(key) + (f"/{part}" if part else "")


def checkpoint_key(path: str) -> str:
    """The key that `checkpoint_path` encoded, whatever the part. Raises ProtocolError."""
    return decoded_key(path.removeprefix(CHECKPOINTS_PATH).partition("/")[0])
