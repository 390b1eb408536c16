"""Files of a submitter's machine that stand in the store of a job, and how its coordinator finds them.

Each file is an object `file_key(<SHA-256 in hex>)`, so that equal files stand there once. One more object is the list
of all of them: `Uploads` as JSON, under the key of its own SHA-256, which the submitter names in the job's annotation
`leasegrid.dev/uploaded`, last of all.
"""

import msgspec

UPLOADS_PREFIX = "_uploads"
"""Keys below it are no chunk's: no stage has such a name."""


class UploadedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file: its location as the plan has it, its bytes, their SHA-256 in hex."""

    location: str
    size: int
    digest: str


class Uploads(msgspec.Struct, frozen=True):
    """What stands behind each path, glob or directory of a plan, by the text that the plan names it with."""

    places: dict[str, tuple[UploadedFile, ...]] = {}


def file_key(digest: str) -> str:
    """Under which key a file of that SHA-256 stands."""
    return f"{UPLOADS_PREFIX}/{digest}"
