"""What a run was begun from, gathered: a later run goes on from its chunks only when nothing of it has changed."""

import glob
import hashlib
from collections.abc import Iterator
from pathlib import Path

from leasegrid.rules.continuing import FileState, Origin
from tasklet_runner.data.access import ENVIRONMENT
from tasklet_runner.plan.types import FilesInput, LinesInput, Plan, Source

READ_BYTES = 64 * 1024 * 1024
READ_FILES = 2000
"""Of mounts so much is read and compared by content; what comes after that counts as unchanged while size and time of
change are the same, as for `make`."""


def origin_of(plan: Plan) -> Origin:
    """The plan with the state of every file that it names, also of those below directories. Blocking.

    Modules are read, and mounts within bounds; inputs are not, as the ids of the chunks hold their content. The state
    of what lies elsewhere is what its servers say.
    """
    inputs = {str(path): _state(path, read=False, is_input=True) for path in _inputs(plan)}
    mounts: dict[str, FileState | None] = {}
    left_bytes, left_files = READ_BYTES, READ_FILES
    for path in sorted(set(_mounts(plan))):
        read = left_files > 0 and (size := _size(path)) <= left_bytes
        if read:
            left_bytes, left_files = left_bytes - size, left_files - 1
        mounts[str(path)] = _state(path, read=read)
    modules = {str(path): _state(path, read=True) for path in _modules(plan)}
    found = {**inputs, **mounts, **modules, **_remote(plan)}
    return Origin(plan, {path: state for path, state in found.items() if state is not None})


def _modules(plan: Plan) -> Iterator[Path]:
    for stage in plan.stages:
        for source in (stage.tasklet.source, *stage.tasklet.wheels):
            yield from _files(source)


def _remote(plan: Plan) -> dict[str, FileState]:
    sources = [source for stage in plan.stages for source in (stage.tasklet.source, *stage.tasklet.wheels)]
    mounts = [mount.source for stage in plan.stages for mount in stage.tasklet.mounts]
    if not any("://" in source.uri for source in (*sources, *mounts)):
        return {}
    # Here and not above: most runs name nothing elsewhere, and start sooner.
    from tasklet_runner.data.states import remote_states

    return {uri: FileState(one.size, 0, one.mark) for uri, one in remote_states(plan, ENVIRONMENT).items()}


def _mounts(plan: Plan) -> Iterator[Path]:
    for stage in plan.stages:
        for mount in stage.tasklet.mounts:
            yield from _files(mount.source)


def _inputs(plan: Plan) -> Iterator[Path]:
    for stage in plan.stages:
        if isinstance(stage.input, LinesInput):
            yield from _files(stage.input.source)
        if isinstance(stage.input, FilesInput):
            for pattern in stage.input.globs:
                if pattern.startswith("/"):
                    yield from (Path(name) for name in glob.iglob(pattern, recursive=True))


def _files(source: Source) -> Iterator[Path]:
    path = Path(source.uri.removeprefix("file://"))
    if source.inline is not None or not path.is_absolute():
        return
    yield from path.rglob("*") if path.is_dir() else (path,)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _state(path: Path, *, read: bool, is_input: bool = False) -> FileState | None:
    """None for what is no file, or not there: the coordinator names what it misses."""
    try:
        found = path.stat()
        if not path.is_file():
            return None
        digest = _digest(path) if read else ""
    except OSError:
        return None
    return FileState(found.st_size, found.st_mtime_ns, digest, is_input)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
