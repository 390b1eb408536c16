"""What the fabric, a leased member and the coordinator that runs on it say to one another of a job.

At the member, JSON over HTTP:
`GET /v1/coordinator` -> CoordinatorReport · `POST /v1/coordinator` CoordinateRequest -> Accepted. The statement is the
fabric's and names the claim that stands; the order is sealed to the member (HPKE base mode, RFC 9180: X25519,
HKDF-SHA256, AES-256-GCM, info `ORDER_INFO`), as it has the job's private key. The same order again changes nothing; one
of a higher term ends the process of the lower one; a lower one is refused (Fenced).
At the broker: `wire.broker`, route `progress`: JobReport -> Instruction, by the capability of the coordinator's lease.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from tasklet_runner.wire.leases import LeaseView, Name, Whole

COORDINATOR_PATH = "/v1/coordinator"
ORDER_INFO = b"leasegrid coordinator order 1"
COPY_VARIABLE = "LEASEGRID_COPY_ORDER"
"""Of the environment of who copies: a CopyOrder as JSON."""

MAX_ORDER_BYTES = 16 * 1024 * 1024
"""Of a sealed order: a plan with inline sources and items."""

MAX_POINTS = 1024
"""Change points of a timeline that a report and a status may hold."""

TOLD_POINTS = 320
"""So many are told. In a report one takes some 30 bytes, in a status at most 90: 28 KiB of the 64 that are for all."""

MAX_INDEX_CHARACTERS = 16 * 1024
"""Of the ranges of indexes in a report and in a status; what does not fit is counted."""


class Coordinate(msgspec.Struct, frozen=True, kw_only=True):
    """The fabric's order to a claimed member: run the coordinator of a job. Times as in `wire.statements`.

    `digest`: SHA-256 (base64url) of the sealed order that comes with it.
    """

    lease_uid: str = msgspec.field(name="lease")
    member: str
    incarnation: str
    epoch: int
    term: int
    digest: str


class CoordinateRequest(msgspec.Struct, frozen=True):
    """A signed Coordinate, and the sealed order."""

    statement: str
    order: bytes


class CoordinatorState(StrEnum):
    """Of the coordinator's process at a member."""

    NONE = "None"
    RUNNING = "Running"
    ENDED = "Ended"


class CoordinatorReport(msgspec.Struct, frozen=True, kw_only=True):
    """`sealing_key`: raw X25519 public key. `term`: of the last order; `words`: how its process ended."""

    sealing_key: bytes
    state: CoordinatorState = CoordinatorState.NONE
    term: int = 0
    words: str = ""


class JobName(msgspec.Struct, frozen=True, kw_only=True):
    """Which object a coordinator works for."""

    kind: str
    namespace: str
    name: str
    uid: str


class Supplies(msgspec.Struct, frozen=True, kw_only=True):
    """What a job names of its namespace, read by the operator: it goes into the sealed order and nowhere else.

    `contents`: of ConfigMaps, by the URI in the plan; `docker_configs`: logins of registries, by the name of their
    Secret; `bucket`: what enters buckets, by the names of the environment (AWS_ACCESS_KEY_ID …).
    """

    contents: dict[str, bytes] = {}
    docker_configs: dict[str, bytes] = {}
    bucket: dict[str, str] = {}


class CoordinatorOrder(msgspec.Struct, frozen=True, kw_only=True):
    """All that a coordinator needs. Sealed as MessagePack.

    `plan`: a `plan.types.Plan` as JSON. `key`: 32 bytes, the seed of the Ed25519 key of the job, which is the holder of
    all its leases, of every generation. `lease`: that of this coordinator; `store`: that of the job's outputs.
    `uploads`: the SHA-256 of the list of uploaded files (`wire.uploads`), empty where there are none.
    `brokers`: URLs; `authority`: the PEM of who signed their certificates (empty: plain HTTP, or the system's).
    """

    job: JobName
    plan: bytes
    term: int
    key: bytes
    lease: LeaseView
    store: LeaseView
    brokers: tuple[str, ...]
    authority: str = ""
    uploads: str = ""
    supplies: Supplies = Supplies()


class CopyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody needs who copies a job's outputs into a mounted volume: the plan as JSON, as far as it says which
    outputs there are, and the way into the store (`wire.store_access`). It is as secret as the outputs.
    """

    plan: str
    endpoint: str
    get: str


class ChunkTally(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Chunks of a stage by what became of them; `total` -1 while the input is being listed. Indexes as `0-4,7`."""

    name: Name
    state: str
    total: int = -1
    succeeded: Whole = 0
    failed: Whole = 0
    retried: Whole = 0
    cached: Whole = 0
    skipped: Whole = 0
    running: Whole = 0
    completed_indexes: Annotated[str, Meta(max_length=MAX_INDEX_CHARACTERS)] = ""
    failed_indexes: Annotated[str, Meta(max_length=MAX_INDEX_CHARACTERS)] = ""


MAX_INLINE_CHARACTERS = 32_768
"""Of all outputs that stand in a status."""


class InlineOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The stdout of one chunk: as text, or as base64 where it is none. `task`: where several tasks have outputs."""

    index: int
    task: str = ""
    text: str = ""
    base64: str = ""


class Ending(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a job ended, as it stands in its store. `outputs`: InlineOutputs as JSON, where nothing else is kept.

    `location`: where they were copied to.
    """

    complete: bool
    reason: Annotated[str, Meta(max_length=64)]
    message: Annotated[str, Meta(max_length=4096)] = ""
    outputs: Annotated[str, Meta(max_length=MAX_INLINE_CHARACTERS)] = ""
    location: Annotated[str, Meta(max_length=4096)] = ""


class JobReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a job is, by its coordinator. A transition is told at once, counts at most once a second.

    `sequence` rises with each report of a generation. `timeline`: change points (milliseconds since the start, members
    under lease, chunks running, chunks done), thinned.
    """

    uid: Name
    term: Whole
    sequence: Whole
    phase: Annotated[str, Meta(max_length=64)]
    stages: Annotated[tuple[ChunkTally, ...], Meta(max_length=65)]
    workers: Whole = 0
    waiting_because: Annotated[str, Meta(max_length=4096)] = ""
    timeline: Annotated[tuple[tuple[int, int, int, int], ...], Meta(max_length=MAX_POINTS)] = ()
    ending: Ending | None = None


class Order(StrEnum):
    """What a coordinator is to do: go on; end its run and release (suspended, deleted, over time); or end at once."""

    GO_ON = "GoOn"
    STOP = "Stop"
    FENCED = "Fenced"


class Instruction(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to a report. `recorded`: the ending stands in the object, so that leases may be released."""

    order: Order = Order.GO_ON
    why: str = ""
    recorded: bool = False
