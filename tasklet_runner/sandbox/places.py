"""Where a slot finds and leaves things, and which of them a run can see."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.sandbox.command import SCRIPT_DIRECTORY, install_script
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Language, Program, Result, Task

Preopens = tuple[tuple[bytes, bytes, bool], ...]


@dataclass(frozen=True)
class Places:
    """Directories of one slot.

    `scratch` is the runner's alone (on tmpfs where possible; it is emptied); `held`, on the same file system, takes
    outputs that are too large for a frame, as `<index>-<attempt>/{stdout,out/…}`, and partitioned ones, as
    `<index>-<attempt>/part-<n>`; `source` is the Python file; `mounts` are (guest path, directory); `blobs` has input
    archives by SHA-256; `durable` is shown as /durable to programs that ask for it: whoever gives a runner its tasks
    fills it before each and empties it after. `before_freeing` is called when scratch may be full and some of it is
    about to be given back.
    """

    scratch: Path
    held: Path
    source: Path
    blobs: Path
    mounts: tuple[tuple[str, Path], ...] = ()
    durable: Path | None = None
    before_freeing: Callable[[], None] = lambda: None


def shared_preopens(program: Program, places: Places) -> Preopens:
    """What every run of the program sees, apart from /in and /out: (host directory, guest path, writable).

    Raises:
        FaultError: Unsupported when the program wants /durable and this slot has none.
    """
    preopens = [(bytes(directory), path.encode(), False) for path, directory in places.mounts]
    if program.language is Language.PYTHON:
        directory = places.scratch / "script"
        install_script(program, places.source, directory)
        preopens.append((bytes(directory), SCRIPT_DIRECTORY.encode(), False))
    if program.durable:
        preopens.append((bytes(durable_directory(places)), b"/durable", True))
    return tuple(preopens)


def held_path(held: Path, of: Task | Result) -> Path:
    """Where outputs of a task are held."""
    return held / f"{of.index}-{of.attempt}"


def durable_directory(places: Places) -> Path:
    """Where what follows a chunk to other members is kept. Raises FaultError: Unsupported when this slot has none."""
    if places.durable is None:
        raise FaultError(
            Fault(
                kind=FaultKind.UNSUPPORTED,
                message="the tasklet asks for /durable, which this member does not offer",
                remedy="remove spec.tasklet.durable, or use a pool whose members offer it",
            )
        )
    return places.durable
