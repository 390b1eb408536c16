"""What a run was made from, as one digest: a later run goes on from its chunks only when nothing of it has changed."""

import glob
import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tasklet_runner.plan.types import FilesInput, LinesInput, Plan, Source


def origin(plan: Plan) -> bytes:
    """A digest of the plan and of the state of every local file and directory that it names.

    A file counts as unchanged while size, time of change and inode are the same, as for `make`.
    """
    digest = hashlib.sha256(msgspec.json.encode(plan))
    for source in _sources(plan):
        digest.update(source.uri.encode() + b"\0")
        for path in _files(source):
            digest.update(_state(path))
    for pattern in _globs(plan):
        for name in sorted(glob.iglob(pattern, recursive=True)):
            digest.update(_state(Path(name)))
    return digest.hexdigest().encode()


def _sources(plan: Plan) -> Iterator[Source]:
    for stage in plan.stages:
        yield stage.tasklet.source
        yield from (mount.source for mount in stage.tasklet.mounts)
        if isinstance(stage.input, LinesInput):
            yield stage.input.source


def _globs(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        if isinstance(stage.input, FilesInput):
            yield from (pattern for pattern in stage.input.globs if pattern.startswith("/"))


def _files(source: Source) -> Iterator[Path]:
    path = Path(source.uri.removeprefix("file://"))
    if source.inline is not None or not path.is_absolute():
        return
    yield path
    if path.is_dir():
        yield from sorted(path.rglob("*"))


def _state(path: Path) -> bytes:
    try:
        found = path.lstat()
    except OSError:
        # What is missing is said by the coordinator, which names it.
        return f"{path} is not there\0".encode()
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ino}\0".encode()
