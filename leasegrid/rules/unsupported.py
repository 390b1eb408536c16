"""What a Job or a TaskGraph may say that cannot be done here; told before anything starts, all of it at once."""

from collections.abc import Iterable, Iterator

from leasegrid.api.job import JobSpec, RunSpec
from leasegrid.api.taskgraph import TaskGraphSpec
from leasegrid.api.tasklet import ModuleSource, PythonTasklet, Tasklet
from leasegrid.rules.locations import scheme_of
from tasklet_runner.plan.types import WHEELS_PATH
from tasklet_runner.wire.errors import UnsupportedError

READ_ONLY_SCHEMES = ("http", "https", "oci")


def refuse(missing: Iterable[str]) -> None:
    """Raises UnsupportedError when there is anything that cannot be done; all of it is named."""
    if told := "; ".join(missing):
        raise UnsupportedError(told, remedy="change these fields and try again")


def unsupported(spec: JobSpec) -> tuple[str, ...]:
    """A sentence for each field that cannot be done, with its path and what to write instead."""
    found = list(_tasklet("spec.tasklet", spec.tasklet))
    if spec.aggregate is not None:
        found += _tasklet("spec.aggregate.tasklet", spec.aggregate.tasklet)
    return (*found, *_run(spec))


def unsupported_in_graph(spec: TaskGraphSpec) -> tuple[str, ...]:
    """A sentence for each field that cannot be done, with its path and what to write instead."""
    found: list[str] = []
    for number, task in enumerate(spec.tasks):
        path = f"spec.tasks[{number}]"
        found += _tasklet(f"{path}.tasklet", task.tasklet)
    return (*found, *_run(spec))


def _run(spec: RunSpec) -> Iterator[str]:
    copy = spec.output.copy_to
    if copy is None:
        return
    if copy.persistent_volume_claim is not None:
        yield "spec.output.copyTo.persistentVolumeClaim: claims are a cluster's; on one machine use uri (a directory)"
    elif scheme_of(copy.uri or "") in READ_ONLY_SCHEMES:
        yield f"spec.output.copyTo.uri: {copy.uri} cannot be written; name a directory or a bucket (s3://bucket/path)"


def _tasklet(path: str, tasklet: Tasklet) -> Iterator[str]:
    if tasklet.module is not None:
        yield from _module(f"{path}.module", tasklet.module)
    if tasklet.python is not None:
        yield from _python(f"{path}.python", tasklet.python)
    yield from _wheels(path, tasklet)


def _module(path: str, module: ModuleSource) -> Iterator[str]:
    if module.upload is not None:
        yield f"{path}.upload: objects are uploaded to a cluster; on one machine use path, url or oci"
    if module.config_map is not None:
        yield f"{path}.configMap: ConfigMaps are a cluster's; on one machine use path, url or oci"
    if all(one is None for one in (module.path, module.url, module.oci, module.upload, module.config_map)):
        yield f"{path}.sha256: alone it names an object that was uploaded to a cluster; use path, url or oci beside it"


def _python(path: str, python: PythonTasklet) -> Iterator[str]:
    if python.source.config_map is not None:
        yield f"{path}.source.configMap: ConfigMaps are a cluster's; on one machine use path or inline"


def _wheels(path: str, tasklet: Tasklet) -> Iterator[str]:
    wheels = tasklet.python.wheels if tasklet.python is not None else ()
    for number, mount in enumerate(tasklet.mounts if wheels else ()):
        if mount.mount_path == WHEELS_PATH or mount.mount_path.startswith(f"{WHEELS_PATH}/"):
            yield f"{path}.mounts[{number}].mountPath: {WHEELS_PATH} is where the wheels are; mount it elsewhere"
