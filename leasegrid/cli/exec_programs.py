"""A file of the command line as a program that a member can prepare, and one task for it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from leasegrid.api.common import API_VERSION
from leasegrid.api.job import Job
from leasegrid.api.loading import load_documents
from leasegrid.rules.tasklet_planning import plan_tasklet
from tasklet_runner.coordinator.archives import ArchiveWriter
from tasklet_runner.coordinator.blobs import BlobFile
from tasklet_runner.coordinator.chunk import MAX_INLINE_INPUT_BYTES
from tasklet_runner.coordinator.programs import read_program
from tasklet_runner.wire.errors import InputError, InvalidObjectError
from tasklet_runner.wire.programs import Program, Task

_MAGIC = b"\0asm"


@dataclass(frozen=True)
class ExecOrder:
    """What is run: a .wasm module or a Python file, its arguments (without argv[0]) and bounds; None: the default.

    `environment`: NAME=VALUE each; `inputs`: files that stand in /in by their names.
    """

    file: Path
    arguments: tuple[str, ...] = ()
    fuel: int | None = None
    memory: str | None = None
    wall_seconds: int | None = None
    environment: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ReadyWork:
    """A program, its one task, and the blobs that both need; these lie in the scratch directory."""

    program: Program
    task: Task
    blobs: tuple[BlobFile, ...]


def read_work(order: ExecOrder, stdin: bytes, scratch: Path) -> ReadyWork:
    """Read everything. Raises InputError for files that cannot be read, InvalidObjectError naming all faults."""
    tasklet = _job(order).spec.tasklet
    plan = plan_tasklet(tasklet, os.getcwd(), input_files=bool(order.inputs), output_files=False)
    ready = read_program(plan, scratch, "exec")
    if not order.inputs and len(stdin) <= MAX_INLINE_INPUT_BYTES:
        return ReadyWork(ready.program, Task(0, 1, "exec", stdin), ready.blobs)
    packed = _packed(order.inputs, stdin, scratch)
    return ReadyWork(ready.program, Task(0, 1, "exec", input_blob=packed.digest), (*ready.blobs, packed))


def _job(order: ExecOrder) -> Job:
    fields = {
        **({"python": {"source": {"path": str(order.file)}}} if is_python(order.file) else _module(order.file)),
        "args": list(order.arguments),
        "env": [_variable(text) for text in order.environment],
        **({"fuel": order.fuel} if order.fuel is not None else {}),
        **({"memory": order.memory} if order.memory is not None else {}),
        **({"wallSeconds": order.wall_seconds} if order.wall_seconds is not None else {}),
    }
    spec = {"tasklet": fields, "input": {"count": 1}}
    loaded = load_documents(
        json.dumps({"apiVersion": API_VERSION, "kind": "Job", "metadata": {"name": "exec"}, "spec": spec}), "exec"
    )
    if loaded.faults:
        said = "; ".join(f"{fault.path.removeprefix('spec.tasklet.')}: {fault.message}" for fault in loaded.faults)
        raise InvalidObjectError(said, remedy="leasegrid exec --help")
    (job,) = (one for one in loaded.objects if isinstance(one, Job))
    return job


def is_python(file: Path) -> bool:
    """True for a Python file, False for a WebAssembly module. Raises InputError when it is neither."""
    if file.suffix == ".py":
        return True
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(_MAGIC))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", remedy="check the path and its rights") from error
    if begins != _MAGIC:
        raise InputError(f"{file} is neither a WebAssembly module nor a .py file", remedy="compile it to wasm32-wasi")
    return False


def _module(file: Path) -> dict[str, object]:
    return {"module": {"path": str(file)}}


def _variable(text: str) -> dict[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise InvalidObjectError(f"--env {text!r} has no value", remedy="write --env NAME=VALUE")
    return {"name": name, "value": value}


def _packed(inputs: tuple[Path, ...], stdin: bytes, scratch: Path) -> BlobFile:
    names = [path.name for path in inputs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidObjectError(f"--in has two files named {repeated[0]!r}", remedy="give them different names")
    archive = ArchiveWriter(scratch / "exec-input")
    archive.add("stdin", stdin)
    for path in inputs:
        try:
            archive.add(f"in/{path.name}", path.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", remedy="check its path and rights") from error
    return archive.finish()
