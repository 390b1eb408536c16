"""From `Prepare` to a program that all slots can run: admission, native code, the Python file, mounts."""

from pathlib import Path

from tasklet_runner.member.children import in_child
from tasklet_runner.member.codes import Code
from tasklet_runner.member.slot_home import ReadyProgram
from tasklet_runner.member.slot_wire import SlotProgram
from tasklet_runner.member.workshop import Workshop
from tasklet_runner.sandbox.archives import unpack
from tasklet_runner.sandbox.outcomes import mebibytes
from tasklet_runner.sandbox.python_runtime import runtime_path
from tasklet_runner.sandbox.trees import remove_tree
from tasklet_runner.wire.errors import FaultError, LeaseGridError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Language, Program
from tasklet_runner.wire.work import Prepare

MAX_MOUNT_FILES = 200_000


async def make_program(workshop: Workshop, request: Prepare, code_key: bytes | None) -> tuple[ReadyProgram, Code]:
    """What slots need for the program. Raises FaultError: BadModule, Unsupported, MemoryExceeded, IoError."""
    program = request.program
    _admit(program, workshop)
    for digest in (program.source, *(mount.digest for mount in program.mounts)):
        _require_blob(workshop, digest)
    if request.code and code_key is not None and workshop.blobs.has(request.code):
        # Code of another engine or key is no error: this member then compiles by itself.
        workshop.code.open(program.module, workshop.blobs.path(request.code), code_key)
    code = await workshop.code.get(
        program.module, lambda: _module_path(workshop, program), snapshots=program.takes_snapshots
    )
    mounts = []
    for mount in program.mounts:
        mounts.append((mount.path, str(await _unpacked(workshop, mount.digest))))
    source = str(workshop.blobs.path(program.source))
    return ReadyProgram(SlotProgram(program, source, tuple(mounts)), code.descriptor), code


def _admit(program: Program, workshop: Workshop) -> None:
    most = workshop.settings.tasklet_memory
    if program.limits.memory > most:
        raise FaultError(
            Fault(
                kind=FaultKind.UNSUPPORTED,
                message=f"{program.name} asks for {mebibytes(program.limits.memory)} of memory, "
                f"a slot of {workshop.settings.name} has {mebibytes(most)}",
                remedy="lower spec.tasklet.memory, or lease from a pool with more resources.memory",
            )
        )


def _require_blob(workshop: Workshop, digest: str) -> None:
    if not workshop.blobs.has(digest):
        raise FaultError(
            Fault(
                kind=FaultKind.IO_ERROR,
                message=f"the blob {digest} is not at {workshop.settings.name}",
                remedy="send it before Prepare; if it was refused, scratch is full: give members more memory",
            )
        )


def _module_path(workshop: Workshop, program: Program) -> Path:
    if program.language is Language.WASM:
        return workshop.blobs.path(program.source)
    try:
        return runtime_path(program.runtime)
    except LeaseGridError as error:
        raise FaultError(
            Fault(kind=FaultKind.UNSUPPORTED, message=error.cause, remedy=error.remedy or "install the runtime")
        ) from error


async def _unpacked(workshop: Workshop, digest: str) -> Path:
    destination = workshop.scratch / "mounts" / digest
    # One after the other: two programs that are prepared at once may name one mount, and half of it is not it.
    async with workshop.unpacking:
        if not destination.exists():
            await _unpack(workshop, digest, destination)
    return destination


async def _unpack(workshop: Workshop, digest: str, destination: Path) -> None:
    # Under another name until it is whole: whoever asked for it may leave before.
    partial = destination.with_name(f".{digest}")
    remove_tree(partial)
    left = max(0, workshop.settings.tmpfs - workshop.blobs.used)
    error = await in_child(lambda: unpack(workshop.blobs.path(digest), partial, left, MAX_MOUNT_FILES))
    if error:
        raise FaultError(
            Fault(
                kind=FaultKind.IO_ERROR,
                message=f"the mount {digest} cannot be unpacked: {error}",
                remedy="pack regular files and directories only, less than a member's scratch holds",
            )
        )
    partial.rename(destination)
