"""Files of a submitter's machine that a plan names: in a cluster they stand in the job's store, once uploaded."""

from collections.abc import Iterator

from leasegrid.rules.locations import scheme_of
from tasklet_runner.plan.types import FilesInput, LinesInput, Plan

UPLOADED_BASE = "uploaded:/"
"""The directory of the YAML, where it is planned in a cluster; what is below it is looked up in the job's store."""

UPLOADED = "leasegrid.dev/uploaded"
"""The annotation by which a submitter says that all local files are in the store: the digest of their list."""

FETCHED = "leasegrid.dev/fetched"
"""The annotation by which somebody says that the outputs are fetched: the store may go."""

ACCESS = "leasegrid.dev/access"
"""The annotation by which somebody asks for a way into the job's store: a public key (`wire.store_access`)."""


def is_uploaded(location: str) -> bool:
    """True for what was a path of the submitter's machine; one that leads above the YAML's directory is relative."""
    return bool(location) and scheme_of(location) == "file"


def local_paths(plan: Plan) -> tuple[str, ...]:
    """The paths and globs that only the submitter's machine has, as they stand in the YAML where they are relative."""
    return tuple(dict.fromkeys(name.removeprefix(UPLOADED_BASE) for name in _locations(plan) if is_uploaded(name)))


def _locations(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        yield stage.tasklet.source.uri
        yield from (wheel.uri for wheel in stage.tasklet.wheels)
        yield from (mount.source.uri for mount in stage.tasklet.mounts)
        if isinstance(stage.input, LinesInput):
            yield stage.input.source.uri
        if isinstance(stage.input, FilesInput):
            yield from stage.input.globs
