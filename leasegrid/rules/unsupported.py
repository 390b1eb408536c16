"""What a Job or a TaskGraph may say that this version cannot do yet; told before anything starts, all of it at once."""

from collections.abc import Iterable, Iterator

from leasegrid.api.enums import ShuffleMode
from leasegrid.api.job import JobSpec, RunSpec
from leasegrid.api.taskgraph import TaskGraphSpec
from leasegrid.api.tasklet import ModuleSource, PythonTasklet, Tasklet
from tasklet_runner.wire.errors import UnsupportedError


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
        if task.shuffle is not None and task.shuffle.mode is ShuffleMode.STREAM:
            found.append(f"{path}.shuffle.mode: Stream is not there yet; use Barrier")
    return (*found, *_run(spec))


def _run(spec: RunSpec) -> Iterator[str]:
    if spec.output.copy_to is not None:
        yield "spec.output.copyTo: outputs are not copied yet; fetch them with --results"


def _tasklet(path: str, tasklet: Tasklet) -> Iterator[str]:
    if tasklet.module is not None:
        yield from _module(f"{path}.module", tasklet.module)
    if tasklet.python is not None:
        yield from _python(f"{path}.python", tasklet.python)


def _module(path: str, module: ModuleSource) -> Iterator[str]:
    given = {
        "upload": module.upload is not None,
        "oci": module.oci is not None,
        "configMap": module.config_map is not None,
    }
    for name, present in given.items():
        if present:
            yield f"{path}.{name}: modules are not fetched from there yet; use path or url"
    if module.path is None and module.url is None and not any(given.values()):
        yield f"{path}.sha256: there are no uploaded objects yet; use path or url beside it"


def _python(path: str, python: PythonTasklet) -> Iterator[str]:
    if python.source.config_map is not None:
        yield f"{path}.source.configMap: files are not fetched from there yet; use path or inline"
    if python.wheels:
        yield f"{path}.wheels: wheels are not installed yet; mount their unpacked files and put them on PYTHONPATH"
