"""A tasklet of the API as a tasklet of a plan: its source located, its limits in plain numbers."""

import re

from leasegrid.api.enums import OutputFiles, PythonMode
from leasegrid.api.tasklet import ModuleSource, PythonSource, Tasklet
from leasegrid.rules.locations import located, stem
from leasegrid.rules.supplies import config_map_uri
from tasklet_runner.plan import types as plan
from tasklet_runner.wire.programs import Language, Limits, Mode

INLINE_NAME = "inline"
"""argv[0] of a Python tasklet that stands in the YAML itself."""


def plan_tasklet(tasklet: Tasklet, base: str, *, input_files: bool, output_files: bool) -> plan.TaskletPlan:
    """The plan's tasklet. In Loop mode there is neither /in nor /out."""
    mode = Mode.LOOP if _is_loop(tasklet) else Mode.FRESH
    source = _source(tasklet, base)
    return plan.TaskletPlan(
        name=stem(source.uri) if source.uri else INLINE_NAME,
        language=Language.WASM if tasklet.python is None else Language.PYTHON,
        source=source,
        mode=mode,
        arguments=tasklet.args,
        environment=tuple((variable.name, variable.value) for variable in tasklet.env),
        mounts=_mounts(tasklet, base),
        wheels=_wheels(tasklet, base),
        limits=_limits(tasklet),
        input_files=input_files and mode is Mode.FRESH,
        output_files=output_files and mode is Mode.FRESH,
        durable=tasklet.durable,
    )


def writes_files(tasklet: Tasklet) -> bool:
    """True when a chunk has /out: Always, or Auto and an argument or an environment value names it."""
    if tasklet.output_files is OutputFiles.AUTO:
        return names_path(tasklet, "/out")
    return tasklet.output_files is OutputFiles.ALWAYS


def names_path(tasklet: Tasklet, path: str) -> bool:
    """True when an argument or an environment value names the directory, alone or as part as in `-o/out/x`."""
    named = re.compile(re.escape(path) + r"(?![A-Za-z0-9_.-])")
    texts = (*tasklet.args, *(variable.value for variable in tasklet.env))
    return any(named.search(text) for text in texts)


def _is_loop(tasklet: Tasklet) -> bool:
    return tasklet.python is not None and tasklet.python.mode is PythonMode.LOOP


def _source(tasklet: Tasklet, base: str) -> plan.Source:
    if tasklet.python is not None:
        return _python_source(tasklet.python.source, base)
    return _module_source(tasklet.module or ModuleSource(), base)


def _python_source(source: PythonSource, base: str) -> plan.Source:
    if source.inline is not None:
        return plan.Source(inline=source.inline)
    if source.config_map is not None:
        return plan.Source(uri=config_map_uri(source.config_map))
    return plan.Source(uri=located(base, source.path or ""))


def _module_source(source: ModuleSource, base: str) -> plan.Source:
    digest = source.sha256 or ""
    if source.oci is not None:
        secret = source.oci.pull_secret_ref.name if source.oci.pull_secret_ref is not None else ""
        return plan.Source(uri=f"oci://{source.oci.reference}", digest=digest, secret=secret)
    if source.config_map is not None:
        return plan.Source(uri=config_map_uri(source.config_map), digest=digest)
    uri = source.url if source.url is not None else located(base, source.path or "")
    return plan.Source(uri=uri, digest=digest)


def _wheels(tasklet: Tasklet, base: str) -> tuple[plan.Source, ...]:
    wheels = tasklet.python.wheels if tasklet.python is not None else ()
    return tuple(plan.Source(uri=located(base, wheel)) for wheel in wheels)


def _mounts(tasklet: Tasklet, base: str) -> tuple[plan.MountSource, ...]:
    return tuple(
        plan.MountSource(path=mount.mount_path, source=plan.Source(uri=located(base, mount.source.path)))
        for mount in tasklet.mounts
    )


def _limits(tasklet: Tasklet) -> Limits:
    return Limits(
        fuel=tasklet.fuel_limit,
        memory=tasklet.memory,
        wall_seconds=tasklet.wall_seconds,
        max_output=tasklet.max_output,
    )
