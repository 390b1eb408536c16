"""From a tasklet's plan to a program that members can prepare: sources read, mounts packed, everything named by its
SHA-256.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasklet_runner.coordinator.blobs import BlobFile
from tasklet_runner.coordinator.sources import fetch, pack_mount
from tasklet_runner.plan.types import Stage, TaskletPlan
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Mount, Program


@dataclass(frozen=True)
class ReadyProgram:
    """A program and the blobs that a member needs before it can prepare it."""

    program: Program
    blobs: tuple[BlobFile, ...]


def read_stage(stage: Stage, scratch: Path, prefix: str) -> ReadyProgram:
    """What `read_program` gives for the stage's tasklet, which divides its output where the stage is shuffled."""
    ready = read_program(stage.tasklet, scratch, prefix)
    if stage.shuffle is None:
        return ready
    shuffle = stage.shuffle
    program = msgspec.structs.replace(ready.program, partitions=shuffle.partitions, partition_by=shuffle.by)
    return ReadyProgram(program, ready.blobs)


def read_program(tasklet: TaskletPlan, scratch: Path, prefix: str) -> ReadyProgram:
    """Read the source and the mounts of a tasklet. Blocks while it reads.

    Raises:
        InputError: a source that cannot be read or has another SHA-256 than the job says.
    """
    what = "the Python file" if tasklet.language is Language.PYTHON else "the module"
    source = fetch(tasklet.source, scratch / f"{prefix}-source", what)
    packed = [
        pack_mount(mount.source, scratch / f"{prefix}-mount-{number}") for number, mount in enumerate(tasklet.mounts)
    ]
    mounts = tuple(
        Mount(path=mount.path, digest=blob.digest) for mount, blob in zip(tasklet.mounts, packed, strict=True)
    )
    return ReadyProgram(_program(tasklet, source.digest, mounts), (source, *packed))


def _program(tasklet: TaskletPlan, source: str, mounts: tuple[Mount, ...]) -> Program:
    return Program(
        name=tasklet.name,
        language=tasklet.language,
        source=source,
        runtime=DEFAULT_PYTHON_RUNTIME if tasklet.language is Language.PYTHON else "",
        mode=tasklet.mode,
        arguments=tasklet.arguments,
        environment=tasklet.environment,
        limits=tasklet.limits,
        mounts=mounts,
        input_files=tasklet.input_files,
        output_files=tasklet.output_files,
        durable=tasklet.durable,
    )
