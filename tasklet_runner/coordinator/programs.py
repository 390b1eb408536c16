"""From a tasklet's plan to a program that members can prepare: sources read, mounts packed, everything named by its
SHA-256.
"""

import posixpath
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasklet_runner.coordinator.archives import ArchiveWriter
from tasklet_runner.coordinator.blobs import BlobFile
from tasklet_runner.coordinator.sources import fetch, pack_mount, pieces
from tasklet_runner.data.storages import Storages
from tasklet_runner.plan.types import WHEELS_PATH, Source, Stage, TaskletPlan
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Mount, Program


@dataclass(frozen=True)
class ReadyProgram:
    """A program and the blobs that a member needs before it can prepare it."""

    program: Program
    blobs: tuple[BlobFile, ...]


def read_stage(stage: Stage, scratch: Path, prefix: str, storages: Storages) -> ReadyProgram:
    """What `read_program` gives for the stage's tasklet, which divides its output where the stage is shuffled."""
    ready = read_program(stage.tasklet, scratch, prefix, storages)
    if stage.shuffle is None:
        return ready
    shuffle = stage.shuffle
    program = msgspec.structs.replace(ready.program, partitions=shuffle.partitions, partition_by=shuffle.by)
    return ReadyProgram(program, ready.blobs)


def read_program(tasklet: TaskletPlan, scratch: Path, prefix: str, storages: Storages | None = None) -> ReadyProgram:
    """Read the source, the mounts and the wheels of a tasklet. Blocks while it reads.

    Raises:
        InputError: a source that cannot be read or has another SHA-256 than the job says; a wheel that cannot run.
    """
    storages = storages or Storages()
    what = "the Python file" if tasklet.language is Language.PYTHON else "the module"
    source = fetch(tasklet.source, scratch / f"{prefix}-source", what, storages)
    packed = [
        (mount.path, pack_mount(mount.source, scratch / f"{prefix}-mount-{number}", storages))
        for number, mount in enumerate(tasklet.mounts)
    ]
    if tasklet.wheels:
        packed.append((WHEELS_PATH, _pack_wheels(tasklet.wheels, scratch / f"{prefix}-wheels", storages)))
    mounts = tuple(Mount(path=path, digest=blob.digest) for path, blob in packed)
    return ReadyProgram(_program(tasklet, source.digest, mounts), (source, *(blob for _, blob in packed)))


def _pack_wheels(wheels: tuple[Source, ...], path: Path, storages: Storages) -> BlobFile:
    # Here and not above: most programs have none.
    from tasklet_runner.data.wheels import WheelTree, check_name

    names = [posixpath.basename(source.uri.partition("?")[0]) for source in wheels]
    for name in names:
        check_name(name)
    fetched: list[BlobFile] = []
    archive = ArchiveWriter(path)
    try:
        with WheelTree() as tree:
            for number, (name, source) in enumerate(zip(names, wheels, strict=True)):
                fetched.append(fetch(source, path.with_name(f"{path.name}-{number}"), "the wheel", storages))
                tree.add(name, fetched[-1].path)
            for file in tree.files():
                archive.begin(file.path, file.size)
                with file.open() as content:
                    for data in pieces(content):
                        archive.write(data)
    except BaseException:
        archive.abandon()
        raise
    finally:
        for blob in fetched:
            blob.remove()
    return archive.finish()


def _environment(tasklet: TaskletPlan) -> tuple[tuple[str, str], ...]:
    """The tasklet's own, with the wheels at the end of PYTHONPATH."""
    if not tasklet.wheels:
        return tasklet.environment
    own = dict(tasklet.environment)
    own["PYTHONPATH"] = ":".join(part for part in (own.get("PYTHONPATH", ""), WHEELS_PATH) if part)
    return tuple(own.items())


def _program(tasklet: TaskletPlan, source: str, mounts: tuple[Mount, ...]) -> Program:
    return Program(
        name=tasklet.name,
        language=tasklet.language,
        source=source,
        runtime=DEFAULT_PYTHON_RUNTIME if tasklet.language is Language.PYTHON else "",
        mode=tasklet.mode,
        arguments=tasklet.arguments,
        environment=_environment(tasklet),
        limits=tasklet.limits,
        mounts=mounts,
        input_files=tasklet.input_files,
        output_files=tasklet.output_files,
        durable=tasklet.durable,
    )
