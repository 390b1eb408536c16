"""A job's store at a leased member, besides what `wire.store` says: what the job's coordinator alone may do.

All under a session, with the coordinator's term in `X-Leasegrid-Term`. The first call is `open`: a term that is lower
than one before is refused (Fenced), a higher one is durable before the answer, and from then on all others' calls are
refused, and grants must name it in place of the member's epoch.

`POST /v1/job/open` -> Opened · `POST /v1/job/write` Write as MessagePack -> Wrote: all of it or nothing ·
`POST /v1/job/drop-uncommitted` -> Opened · `POST /v1/job/delete-checkpoints` DeleteCheckpoints -> Opened ·
`GET /v1/job/usage` -> Opened ·
`PUT /v1/job/values/<name>`, the body its bytes -> Opened · `GET /v1/job/values/<name>` -> the bytes, 404 for none.
Every change is as durable as the store when it is answered.
"""

import msgspec

from tasklet_runner.wire.queues import CommitRecord

JOB_PATH = "/v1/job/"
VALUES_PATH = JOB_PATH + "values/"
TERM_HEADER = "X-Leasegrid-Term"

MAX_WRITE_BYTES = 64 * 1024 * 1024
"""Of one `write`: larger objects are put by members, or as a batch."""

MAX_VALUE_BYTES = 16 * 1024 * 1024


class Opened(msgspec.Struct, frozen=True):
    """Where the store stands: its highest term and the bytes that count against its quota."""

    term: int
    used_bytes: int
    quota_bytes: int


class WriteObject(msgspec.Struct, frozen=True, array_like=True):
    """A small object: its key and its bytes."""

    key: str
    data: bytes


class Write(msgspec.Struct, frozen=True, array_like=True):
    """Objects and commit records that become visible together. A second commit of a chunk is ignored."""

    objects: tuple[WriteObject, ...]
    commits: tuple[CommitRecord, ...]


class Wrote(msgspec.Struct, frozen=True):
    """How many commits were new."""

    new_commits: int


class DeleteCheckpoints(msgspec.Struct, frozen=True):
    """Delete the checkpoints of each of these keys, and of all below `<prefix>/`; an empty one: all there are."""

    prefixes: tuple[str, ...]
