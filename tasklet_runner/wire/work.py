"""The messages of the one duplex connection between a holder and a member.

Transport: a WebSocket at `GET /v1/work` of the member, one binary message per struct: MessagePack with a tag, and
behind it the checksum of its bytes (`wire.digests`), for TCP's own passes one damaged segment in 65,536. The member
speaks first (`Hello`). After `Opened` the holder sends blobs, programs and frames of tasks; each frame is addressed to
one slot, and a slot runs its frames in the order in which they came. Results may come back in several pieces; the last
piece of a frame has `done`.
"""

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.digests import CHECKSUM_BYTES, checksum
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Program, Result, Task

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""No message is larger; blobs travel in pieces of `BLOB_PIECE_BYTES`."""

BLOB_PIECE_BYTES = 1024 * 1024

CODE_KEY_INFO = b"leasegrid code key 1"
"""The HPKE `info` (RFC 9180) under which a job's code key is sealed to a member."""


class _Message(msgspec.Struct, frozen=True, tag_field="t"):
    """Every message carries the name of its class in the field `t`."""


class Hello(_Message, frozen=True):
    """The member's first word. `sealing_key`: raw X25519 public key to which a code key is sealed (HPKE, RFC 9180)."""

    member: str
    incarnation: str
    nonce: str
    sealing_key: bytes
    slots: int


class Open(_Message, frozen=True):
    """The holder's answer: its capability, and a `Challenge` statement signed with the holder's key."""

    capability: str
    challenge: str


class Opened(_Message, frozen=True):
    """The connection stands. `seconds_left`: until the member's own deadline, by its own clock."""

    seconds_left: float


class Refused(_Message, frozen=True):
    """No, and why; the member closes the connection after it when nothing was open yet."""

    reason: str
    cause: str
    remedy: str = ""


class Renew(_Message, frozen=True):
    """A capability with a later deadline; an older or equal one changes nothing."""

    capability: str


class CodeKey(_Message, frozen=True):
    """The job's random 256-bit key for compiled code, sealed to the member's `sealing_key`."""

    sealed: bytes


class Blob(_Message, frozen=True):
    """A piece of a blob named by its SHA-256 (hex); pieces come in order, the last one ends at `size`."""

    digest: str
    size: int
    offset: int
    data: bytes


class Forget(_Message, frozen=True):
    """The member may delete these blobs (inputs that were used)."""

    digests: tuple[str, ...]


class Prepare(_Message, frozen=True):
    """Make the program ready in all slots.

    Its blobs were sent before. With `code` (SHA-256 of a blob of encrypted compiled code) nothing is compiled;
    without it the member compiles and, if `share`, sends the encrypted code back as a blob first.
    """

    program_id: int
    program: Program
    code: str = ""
    share: bool = False


class Prepared(_Message, frozen=True):
    """The program can be run. `code`: SHA-256 of the encrypted code that was sent back, or empty."""

    program_id: int
    code: str = ""
    compile_milliseconds: int = 0


class PrepareFailed(_Message, frozen=True):
    """The program cannot run here: BadModule, Unsupported, MemoryExceeded or IoError."""

    program_id: int
    fault: Fault


class Run(_Message, frozen=True):
    """A frame of tasks for one slot."""

    slot: int
    frame: int
    program_id: int
    tasks: tuple[Task, ...]


class Results(_Message, frozen=True):
    """Outcomes of tasks of a frame, in order; `done` with the frame's last."""

    slot: int
    frame: int
    results: tuple[Result, ...]
    done: bool = False


class NotRun(_Message, frozen=True):
    """Tasks of a frame that never started, because their slot's process was killed or restarted; they may be sent
    again at once. Ends the frame.
    """

    slot: int
    frame: int
    indexes: tuple[int, ...]


class Grant(_Message, frozen=True):
    """Leave to put the held output of one attempt: objects `<key_prefix>/stdout` and `<key_prefix>/out/<file>`, or, of
    a partitioned one, `<key_prefix>/part-<n>` for each part that is not empty, all in one batch.
    """

    index: int
    attempt: int
    endpoint: str
    key_prefix: str
    grant: str


class Stored(_Message, frozen=True):
    """The held output is in the store, as objects `<key_prefix>/<file>`; or, with a fault, it is not."""

    index: int
    attempt: int
    files: tuple[str, ...] = ()
    byte_count: int = 0
    fault: Fault | None = None


class Checkpointed(_Message, frozen=True):
    """A checkpoint of a running attempt is durable in the store; or, with a fault, it could not be kept (the attempt
    runs on, and the next one is tried).
    """

    index: int
    attempt: int
    generation: int
    byte_count: int
    milliseconds: int
    fault: Fault | None = None


class Follow(_Message, frozen=True):
    """Fetch into scratch, ahead of the tasks that will want them, the objects that messages of these queues name (a
    key a line) in the store at `endpoint`; `grant` is a signed GetGrant for both. Replaces what this connection said of
    that store before: what was fetched for a queue that is not named any more is deleted. Nothing is answered, and
    nothing is promised: a task names all that it needs.
    """

    endpoint: str
    grant: str
    queues: tuple[str, ...]


class Discard(_Message, frozen=True):
    """The held output of this attempt is not wanted."""

    index: int
    attempt: int


class Draining(_Message, frozen=True):
    """The member is about to go; send nothing more, results of running tasks still come."""

    reason: str


class Ended(_Message, frozen=True):
    """The lease has ended at this member: LeaseExpired, Revoked, Released or Fenced. The connection closes."""

    reason: str


ToMember = Open | Renew | CodeKey | Blob | Forget | Prepare | Run | Grant | Follow | Discard
ToHolder = (
    Hello
    | Opened
    | Refused
    | Blob
    | Prepared
    | PrepareFailed
    | Results
    | NotRun
    | Stored
    | Checkpointed
    | Draining
    | Ended
)

_encoder = msgspec.msgpack.Encoder()
_to_member: msgspec.msgpack.Decoder[ToMember] = msgspec.msgpack.Decoder(ToMember)
_to_holder: msgspec.msgpack.Decoder[ToHolder] = msgspec.msgpack.Decoder(ToHolder)


def encode(message: ToMember | ToHolder) -> bytes:
    """The message as it travels."""
    body = _encoder.encode(message)
    return body + checksum(body)


def checked(data: bytes) -> memoryview:
    """The MessagePack of a message as it travelled. Raises ProtocolError for bytes that were not sent so."""
    view = memoryview(data)
    body = view[:-CHECKSUM_BYTES]
    if len(view) < CHECKSUM_BYTES or checksum(body) != view[-CHECKSUM_BYTES:]:
        raise ProtocolError(
            f"a message of {len(view):,} bytes does not have its checksum: it was cut or changed on its way",
            remedy="connect again; what was sent goes elsewhere meanwhile",
        )
    return body


def decode_to_member(data: bytes) -> ToMember:
    """What a holder sent. Raises ProtocolError for anything else."""
    try:
        return _to_member.decode(checked(data))
    except UNREADABLE as error:
        raise ProtocolError(f"a frame to a member that cannot be read: {error}") from error


def decode_to_holder(data: bytes) -> ToHolder:
    """What a member sent. Raises ProtocolError for anything else."""
    try:
        return _to_holder.decode(checked(data))
    except UNREADABLE as error:
        raise ProtocolError(f"a frame from a member that cannot be read: {error}") from error
