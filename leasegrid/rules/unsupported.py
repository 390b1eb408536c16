"""What a Job or a TaskGraph may say that cannot be done here; told before anything starts, all of it at once."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from leasegrid.api.job import JobSpec, RunSpec
from leasegrid.api.taskgraph import TaskGraphSpec
from leasegrid.api.tasklet import ModuleSource, Tasklet
from leasegrid.rules.locations import scheme_of
from tasklet_runner.plan.types import WHEELS_PATH
from tasklet_runner.wire.errors import UnsupportedError

READ_ONLY_SCHEMES = ("http", "https", "oci")


class Place(StrEnum):
    """Where a job is run."""

    MACHINE = "Machine"
    CLUSTER = "Cluster"


_INSTEAD = {
    Place.MACHINE: "on one machine use path, url or oci",
    Place.CLUSTER: "use path (leasegrid submit uploads it), url, oci or configMap",
}


def refuse(missing: Iterable[str]) -> None:
    """Raises UnsupportedError when there is anything that cannot be done; all of it is named."""
    if told := "; ".join(missing):
        raise UnsupportedError(told, remedy="change these fields and try again")


def unsupported(spec: JobSpec, place: Place) -> tuple[str, ...]:
    """A sentence for each field that cannot be done there, with its path and what to write instead."""
    found = list(_tasklet("spec.tasklet", spec.tasklet, place))
    if spec.aggregate is not None:
        found += _tasklet("spec.aggregate.tasklet", spec.aggregate.tasklet, place)
    return (*found, *_run(spec, place))


def unsupported_in_graph(spec: TaskGraphSpec, place: Place) -> tuple[str, ...]:
    """A sentence for each field that cannot be done there, with its path and what to write instead."""
    found: list[str] = []
    for number, task in enumerate(spec.tasks):
        path = f"spec.tasks[{number}]"
        found += _tasklet(f"{path}.tasklet", task.tasklet, place)
    return (*found, *_run(spec, place))


def _run(spec: RunSpec, place: Place) -> Iterator[str]:
    copy = spec.output.copy_to
    if copy is None:
        return
    path = "spec.output.copyTo"
    if copy.persistent_volume_claim is not None:
        if place is Place.MACHINE:
            yield f"{path}.persistentVolumeClaim: claims are a cluster's; on one machine use uri (a directory)"
    elif scheme_of(copy.uri or "") in READ_ONLY_SCHEMES:
        yield f"{path}.uri: {copy.uri} cannot be written; name a directory or a bucket (s3://bucket/path)"
    elif place is Place.CLUSTER and scheme_of(copy.uri or "") == "file":
        yield f"{path}.uri: {copy.uri} would be a directory of a pod; use a bucket (s3://…) or persistentVolumeClaim"


def _tasklet(path: str, tasklet: Tasklet, place: Place) -> Iterator[str]:
    if tasklet.module is not None:
        yield from _module(f"{path}.module", tasklet.module, place)
    if tasklet.python is not None and tasklet.python.source.config_map is not None and place is Place.MACHINE:
        yield f"{path}.python.source.configMap: ConfigMaps are a cluster's; on one machine use path or inline"
    yield from _wheels(path, tasklet)


def _module(path: str, module: ModuleSource, place: Place) -> Iterator[str]:
    instead = _INSTEAD[place]
    if module.upload is not None:
        yield f"{path}.upload: objects are not uploaded by name; {instead}"
    if module.config_map is not None and place is Place.MACHINE:
        yield f"{path}.configMap: ConfigMaps are a cluster's; {instead}"
    if all(one is None for one in (module.path, module.url, module.oci, module.upload, module.config_map)):
        yield f"{path}.sha256: alone it names no file; {instead} beside it"


def _wheels(path: str, tasklet: Tasklet) -> Iterator[str]:
    wheels = tasklet.python.wheels if tasklet.python is not None else ()
    for number, mount in enumerate(tasklet.mounts if wheels else ()):
        if mount.mount_path == WHEELS_PATH or mount.mount_path.startswith(f"{WHEELS_PATH}/"):
            yield f"{path}.mounts[{number}].mountPath: {WHEELS_PATH} is where the wheels are; mount it elsewhere"
