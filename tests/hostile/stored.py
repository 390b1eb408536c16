"""What one holder leaves in a store, and every request by which another may look for it at a store's door."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from tasklet_runner.client.granted import connect
from tasklet_runner.client.store_sessions import StoreSession
from tasklet_runner.client.transport import base_url
from tasklet_runner.wire.batches import BatchRequest, ObjectHead, framed
from tasklet_runner.wire.checkpoints import EPOCH_HEADER, checkpoint_path
from tasklet_runner.wire.digests import CHECKSUM_BYTES, checksum
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.job_store import JOB_PATH, TERM_HEADER, VALUES_PATH, DeleteCheckpoints, Write, WriteObject
from tasklet_runner.wire.neighbours import BATCH_FILES_PATH, BATCH_PLACES_PATH, HandedFile, HandedFiles
from tasklet_runner.wire.queues import (
    QUEUE_BATCHES_PATH,
    Ack,
    AckMany,
    CommitRecord,
    Message,
    Push,
    PushMany,
    Receive,
    ReceiveMany,
    queue_path,
)
from tasklet_runner.wire.store import (
    BATCH_GET_PATH,
    BATCH_PATH,
    COMMITS_PATH,
    DIGEST_HEADER,
    LISTING_PATH,
    SESSION_HEADER,
    object_path,
)
from tests.hostile.markers import MARKER

WORD = MARKER.decode()

LOOT = (MARKER + b" of the one before; ") * 4000
"""Large enough to stand in a file of its own, and small enough for any request."""

# What is asked for by name is named in refusals, too: these names do not hold the marker, what is behind them does.
OBJECT, BATCHED, WRITTEN = "planted/object", "planted/batch", "main/0/1/stdout"
CHECKPOINT, VALUE, STAGE, QUEUE, QUEUES = "planted/7", "planted", "main", "planted", "planted/many"
_JSON, _PACK = msgspec.json.encode, msgspec.msgpack.encode
_TERM = {TERM_HEADER: "1"}
_EPOCH = {EPOCH_HEADER: "1"}
_TRACES = (MARKER, base64.b64encode(LOOT)[:32])


@dataclass(frozen=True)
class Asked:
    """One request. `shows`: its answer holds the marker, if anything was planted."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    shows: bool = False


def planting(word: str = WORD, loot: bytes = LOOT) -> list[Asked]:
    """Whatever a holder can leave, in the order in which it can be left: these bytes, or that word for a name."""
    digest = {DIGEST_HEADER: checksum(loot).hex()}
    batch = framed(ObjectHead(BATCHED, len(loot))) + loot
    commit = CommitRecord(STAGE, 0, 1, f"0-{word}", path=word)
    messages = (Message(word, loot),)
    return [
        Asked("PUT", object_path(OBJECT), loot, digest),
        Asked("PUT", object_path(f"planted/{word}"), loot, digest),
        Asked("POST", BATCH_PATH, batch),
        Asked("POST", queue_path(QUEUE, "push"), _JSON(Push(messages))),
        Asked("POST", QUEUE_BATCHES_PATH + "push", _JSON(PushMany({QUEUES: messages}))),
        Asked("POST", JOB_PATH + "open", headers=_TERM),
        Asked("POST", JOB_PATH + "write", _PACK(Write((WriteObject(WRITTEN, loot),), (commit,))), _TERM),
        Asked("PUT", VALUES_PATH + VALUE, loot, _TERM),
        Asked("PUT", checkpoint_path(CHECKPOINT) + "?generation=1", loot, digest | _EPOCH),
    ]


def found_in(answer: bytes) -> bool:
    """True when the marker is in an answer, as it is or as JSON has bytes."""
    return any(trace in answer for trace in _TRACES)


class Seeker:
    """Asks at one store's door, under the session of a holder, or under none."""

    def __init__(self, endpoint: str, session: str = "") -> None:
        self.session = session
        self._base = base_url(endpoint)
        self._http = connect(endpoint)

    @classmethod
    async def holder(cls, endpoint: str, capability: str, key: Ed25519PrivateKey) -> Self:
        """With a session of its own. Raises what StoreSession does."""
        seeker = cls(endpoint)
        try:
            seeker.session = await StoreSession(seeker._base, capability, key).token(seeker._http)
        except LeaseGridError:
            await seeker.aclose()
            raise
        return seeker

    async def ask(self, asked: Asked) -> tuple[int, bytes]:
        """Status, and all that came: head and body."""
        headers = {SESSION_HEADER: self.session, **asked.headers} if self.session else asked.headers
        # The path as it is: its encoded slashes are meant.
        url = URL(self._base + asked.path, encoded=True)
        async with self._http.request(asked.method, url, data=asked.body or None, headers=headers) as response:
            return response.status, repr(response.raw_headers).encode() + await response.read()

    async def aclose(self) -> None:
        """Leave."""
        await self._http.close()


def reading() -> list[Asked]:
    """Whatever can be asked without a change to what is there."""
    keys = _JSON(BatchRequest((OBJECT, BATCHED, WRITTEN)))
    found = [
        Asked("GET", object_path(key), headers=headers, shows=not headers)
        for key in (OBJECT, BATCHED, WRITTEN)
        for headers in ({}, {"Range": f"bytes={len(LOOT)}-{2 * len(LOOT)}"})
    ]
    return [
        *found,
        Asked("HEAD", object_path(OBJECT)),
        Asked("GET", LISTING_PATH, shows=True),
        Asked("GET", f"{LISTING_PATH}?prefix=&after=a&limit=1000", shows=True),
        Asked("GET", f"{COMMITS_PATH}?stage={STAGE}", shows=True),
        Asked("POST", BATCH_GET_PATH, keys, shows=True),
        Asked("POST", BATCH_PLACES_PATH, keys),
        Asked("POST", JOB_PATH + "open", headers=_TERM),
        Asked("GET", JOB_PATH + "usage", headers=_TERM),
        Asked("GET", VALUES_PATH + VALUE, headers=_TERM, shows=True),
        Asked("GET", checkpoint_path(CHECKPOINT), headers=_EPOCH, shows=True),
        Asked("POST", queue_path(QUEUE, "receive"), _JSON(Receive(1000)), shows=True),
        Asked("POST", QUEUE_BATCHES_PATH + "receive", _JSON(ReceiveMany((QUEUE, QUEUES), 1000)), shows=True),
        *(Asked("GET", path) for path in ("/v1/state", "/metrics", "/healthz", "/v1/challenge", "/", "/v1/objects/")),
    ]


def changing(paths: Iterable[str] = ()) -> list[Asked]:
    """Whatever changes something, in the hope that the answer tells more. `paths`: files to be handed over."""
    one = b"x"
    digest = {DIGEST_HEADER: checksum(one).hex()}
    files = tuple(
        HandedFile(f"handed/{n}", len(LOOT), bytes(CHECKSUM_BYTES), b"", path) for n, path in enumerate(paths)
    )
    return [
        *planting("own", b"own"),
        Asked("PUT", object_path(OBJECT), one, digest),
        Asked("POST", BATCH_FILES_PATH, _PACK(HandedFiles(files))),
        Asked("POST", queue_path(QUEUE, "ack"), _JSON(Ack(("1", "planted")))),
        Asked("POST", QUEUE_BATCHES_PATH + "ack", _JSON(AckMany({QUEUES: ("1",)}))),
        Asked("POST", queue_path(QUEUE, "close")),
        Asked("POST", JOB_PATH + "drop-uncommitted", headers=_TERM),
        Asked("POST", f"{checkpoint_path(CHECKPOINT, 'deltas')}?generation=2&base=1&size=1", one, digest | _EPOCH),
        Asked("POST", checkpoint_path(CHECKPOINT, "epoch")),
        Asked("DELETE", checkpoint_path(CHECKPOINT), headers=_EPOCH),
        Asked("POST", JOB_PATH + "delete-checkpoints", _JSON(DeleteCheckpoints(("",))), _TERM),
        *(Asked("POST", f"/v1/{verb}", b"nonsense") for verb in ("bind", "confirm", "renew", "retire", "release")),
        Asked("POST", "/v1/session", b"{}"),
    ]
