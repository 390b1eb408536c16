"""What a store and its clients of one machine tell each other in place of bytes: where files stand.

Over a unix socket, so that both are processes of one user. Who may is asked as for a batch, and a batch it is: all of
its objects become visible, or none.

`POST /v1/batch/files` HandedFiles -> BatchReply: the store links the files, which stay where they are, and are not to
be written any more. `POST /v1/batch/places` BatchRequest -> Places: where the objects stand, for as long as the claim.

400 (NotHere): not between these two, or not these objects; put or get their bytes.
"""

import msgspec

BATCH_FILES_PATH = "/v1/batch/files"
BATCH_PLACES_PATH = "/v1/batch/places"

NOT_HERE = "NotHere"

MAX_HANDED_FILES = 10_000
"""Of one request."""


class HandedFile(msgspec.Struct, frozen=True, array_like=True):
    """An object that stands in the regular file `path`: its checksum, and those of its blocks if it has several."""

    key: str
    size: int
    checksum: bytes
    blocks: bytes
    path: str


class HandedFiles(msgspec.Struct, frozen=True):
    """Objects to be put, at most MAX_HANDED_FILES."""

    files: tuple[HandedFile, ...]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where an object stands: `size` bytes of the file `path`, from `start`; and its digest."""

    size: int
    digest: bytes
    path: str
    start: int


class Places(msgspec.Struct, frozen=True):
    """Of the objects that were asked for, in their order."""

    places: tuple[Place, ...]
