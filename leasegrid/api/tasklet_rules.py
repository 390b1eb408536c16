"""Rules across the fields of a tasklet."""

import re
from collections.abc import Iterator

from leasegrid.api.messages import suggestion
from leasegrid.api.names import RESERVED_PATHS
from leasegrid.api.views import View

CHUNK_NAMES = ("CHUNK_INDEX", "CHUNK_ID", "CHUNK_PATH", "CHUNK_NAME", "CHUNK_STEM", "CHUNK_ATTEMPT")
"""What `$(…)` may name besides the environment."""

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z0-9_.-]+)\)")


def check_tasklet(tasklet: View) -> None:
    """Sources, environment, mounts and references of one tasklet."""
    tasklet.exactly_one("module", "python")
    _check_module(tasklet.child("module"))
    tasklet.child("python").child("source").exactly_one("path", "inline", "configMap")
    _check_environment(tasklet)
    _check_mounts(tasklet)
    if is_loop(tasklet) and tasklet.text("outputFiles") == "Always":
        tasklet.fault("cannot be Always with python.mode Loop, which has no /out", "outputFiles")
    if is_loop(tasklet) and tasklet.flag("durable"):
        tasklet.fault(
            "cannot be true with python.mode Loop, whose interpreter outlives its chunks: use Fresh", "durable"
        )


def is_loop(tasklet: View) -> bool:
    """True for a Python tasklet in Loop mode."""
    return tasklet.child("python").text("mode") == "Loop"


def _check_module(module: View) -> None:
    sources = ("path", "upload", "oci", "url", "configMap")
    if not module.given_of(*sources) and module.has("sha256"):
        return
    module.exactly_one(*sources)


def _check_environment(tasklet: View) -> None:
    names: set[str] = set()
    for variable in tasklet.children("env"):
        name = variable.text("name")
        if name in names:
            variable.fault(f"{name!r} stands twice: keep one of them", "name")
        names.update({name} if name else ())
    for index, text in enumerate(tasklet.texts("args")):
        for message in _bad_references(text, names):
            tasklet.fault(message, "args", index)
    for variable in tasklet.children("env"):
        for message in _bad_references(variable.text("value") or "", names):
            variable.fault(message, "value")


def _bad_references(text: str, names: set[str]) -> Iterator[str]:
    for name in _references(text):
        if name.startswith("CHUNK_") and name not in CHUNK_NAMES and name not in names:
            yield f"$({name}) names nothing: {suggestion(name, CHUNK_NAMES)}"


def _references(text: str) -> Iterator[str]:
    return (match[1] for match in _REFERENCE.finditer(text) if match[1])


def _check_mounts(tasklet: View) -> None:
    paths: set[str] = set()
    for mount in tasklet.children("mounts"):
        path = mount.text("mountPath")
        if path is None:
            continue
        if path in paths:
            mount.fault(f"{path!r} stands twice: every mount needs a path of its own", "mountPath")
        if any(path == reserved or path.startswith(f"{reserved}/") for reserved in RESERVED_PATHS):
            mount.fault(f"{path!r} lies in {', '.join(RESERVED_PATHS)}, which chunks have for themselves", "mountPath")
        paths.add(path)
