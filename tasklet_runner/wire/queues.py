"""Queues of a leased store: messages that are delivered until they are acknowledged, each in effect once.

Under `/v1/queues/<name>/`, the name percent-encoded as an object's key, all by POST with JSON:
`push` Push -> Pushed. A message whose id is there, or was, is no error and is not there twice.
`receive` Receive -> Received. What is received is hidden from others for `visibilitySeconds`; then it is delivered
again, with another receipt and one attempt more. So a consumer that dies costs time and no message. With `waitSeconds`
the answer waits so long for a first message, or for the end of a closed queue.
`ack` Ack -> Acknowledged. A receipt is good until its message was delivered again, its time over or not.
`close` -> Pushed with 0. No new message comes; who receives learns it. The ids of what is acknowledged are forgotten
now: a push that comes again is refused then.

Several queues at once, under `/v1/queue-batches/`: `push` PushMany -> Pushed, `receive` ReceiveMany -> ReceivedMany,
`ack` AckMany -> Acknowledged.

Under a session; or `push` and `close` under a PutGrant, `receive` and `ack` under a GetGrant, that cover all names.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote, unquote

import msgspec
from msgspec import Meta

from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.faults import Fault, Integer
from tasklet_runner.wire.store import checked_key

QUEUES_PATH = "/v1/queues/"
QUEUE_BATCHES_PATH = "/v1/queue-batches/"

MAX_MESSAGES = 1000
"""Of one request; of one for several queues, in each of them."""

MAX_QUEUES = 10_000
"""Of one request for several."""

MAX_MESSAGE_BYTES = 256 * 1024
"""Of one body: a message names objects, it does not carry them."""

MAX_VISIBILITY_SECONDS = 12 * 3600.0

MAX_WAIT_SECONDS = 30.0
"""So long an answer to `receive` may wait."""


Count = Annotated[int, Meta(ge=0, le=2**53)]


class Message(msgspec.Struct, frozen=True):
    """What is to be delivered; `id` is the pusher's own (in JSON the body is Base64)."""

    id: str
    body: bytes


class Delivery(msgspec.Struct, frozen=True):
    """A message that was received; `attempts`: how often, this time included."""

    id: str
    body: bytes
    receipt: str
    attempts: int


class CommitRecord(msgspec.Struct, frozen=True, array_like=True):
    """Makes one attempt of a chunk visible, or says which fault it ended with.

    `objects`: suffixes after the attempt, `stdout` first.
    """

    stage: str
    index: Count
    attempt: Count
    chunk_id: str
    fault: Fault | None = None
    objects: tuple[str, ...] = ("stdout",)
    fuel_used: Integer = 0
    wall_microseconds: Integer = 0
    path: str = ""
    cached: bool = False

    def key(self, suffix: str = "stdout") -> str:
        """The key of one of the visible attempt's objects."""
        return f"{self.stage}/{self.index}/{self.attempt}/{suffix}"


class CommitPage(msgspec.Struct, frozen=True):
    """Commit records; `next_first`: the `first` of the next page, -1 at the end."""

    commits: tuple[CommitRecord, ...]
    next_first: int = -1


class Standing(StrEnum):
    """What became of a receipt. Lost: its message was delivered to another since, whose receipt counts."""

    ACKNOWLEDGED = "Acknowledged"
    ALREADY = "Already"
    LOST = "Lost"


class Push(msgspec.Struct, frozen=True):
    """Messages for a queue, all of them or none."""

    messages: tuple[Message, ...]


class Pushed(msgspec.Struct, frozen=True):
    """How many of them were new."""

    added: int


class Receive(msgspec.Struct, frozen=True, rename="camel"):
    """At most `limit` messages, the oldest first."""

    limit: int = 1
    visibility_seconds: float = 30.0
    wait_seconds: float = 0.0


class Received(msgspec.Struct, frozen=True):
    """What is there now. `closed`: no new message will come; `left`: messages that are not acknowledged, these too."""

    messages: tuple[Delivery, ...]
    closed: bool
    left: int


class PushMany(msgspec.Struct, frozen=True):
    """Messages by their queue, all of them or none. With `close` all these queues are closed afterwards."""

    queues: Mapping[str, tuple[Message, ...]]
    close: bool = False


class ReceiveMany(msgspec.Struct, frozen=True, rename="camel"):
    """At most `limit` messages of these queues, the oldest of each first."""

    queues: tuple[str, ...]
    limit: int = 1
    visibility_seconds: float = 30.0
    wait_seconds: float = 0.0


class ReceivedMany(msgspec.Struct, frozen=True):
    """What is there now, by queue. `closed`: all of them are; `left`: messages of all that are not acknowledged."""

    queues: Mapping[str, tuple[Delivery, ...]]
    closed: bool
    left: int


class AckMany(msgspec.Struct, frozen=True):
    """Receipts by queue: these messages have had their effect."""

    queues: Mapping[str, tuple[str, ...]]


class Ack(msgspec.Struct, frozen=True):
    """These messages have had their effect. With a `commit` it is written in the same transaction, if every receipt
    stands and not all were acknowledged before; else nothing happens.
    """

    receipts: tuple[str, ...]
    commit: CommitRecord | None = None


class Acknowledged(msgspec.Struct, frozen=True):
    """What became of each receipt."""

    standings: tuple[Standing, ...]


def queue_path(name: str, verb: str) -> str:
    """The request path of a verb."""
    return f"{QUEUES_PATH}{quote(name, safe='')}/{verb}"


def queue_name(path: str) -> str:
    """The name that `queue_path` encoded; raises ProtocolError for anything else."""
    try:
        name = unquote(path.removeprefix(QUEUES_PATH).rpartition("/")[0], errors="strict")
    except UnicodeDecodeError as error:
        raise ProtocolError("a queue's name is not UTF-8", remedy="percent-encode its UTF-8 bytes") from error
    return checked_key(name)
