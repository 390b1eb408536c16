"""What a run has left: processes, sockets, directories. An independent listing: it asks the kernel, not the project."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Leftovers:
    """What still exists that belongs to a place."""

    processes: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.processes or self.sockets or self.directories)


def processes_of(root: Path) -> list[psutil.Process]:
    """Live processes whose environment, command line or working directory names the place, but for this one.

    A zombie counts as gone: it holds nothing, and its parent will reap it.
    """
    found = []
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _belongs(process, str(root)):
            found.append(process)
    return found


def _belongs(process: psutil.Process, root: str) -> bool:
    named: list[str] = []
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        named += process.cmdline()
        # A non-dumpable process shows these two to root alone, its command line to everybody.
        with suppress(psutil.AccessDenied):
            named += [process.cwd(), *process.environ().values()]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
    return any(root in value for value in named)


def sockets_below(root: Path) -> list[str]:
    """Unix sockets below a directory: those that exist as files, and those that a process holds bound there."""
    files = {str(path) for path in root.rglob("*") if path.is_socket()}
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    bound = {fields[7] for line in lines if len(fields := line.split(maxsplit=7)) == 8}
    return sorted(files | {path for path in bound if path.startswith(f"{root}/")})


def directories_below(*roots: Path) -> list[str]:
    """Everything that stands directly in these directories."""
    return sorted(str(path) for root in roots if root.exists() for path in root.iterdir())


def leftovers(root: Path, *emptied: Path) -> Leftovers:
    """What is left of a place; `emptied` are the directories that should be empty (runtime, scratch)."""
    return Leftovers(
        processes=tuple(f"{process.pid}: {_words(process)}" for process in processes_of(root)),
        sockets=tuple(sockets_below(root)),
        directories=tuple(directories_below(*emptied)),
    )


def shared_memory_names() -> set[str]:
    """What stands in /dev/shm: compare before and after a run."""
    return set(os.listdir("/dev/shm"))  # noqa: S108  # listed, not written


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return "gone meanwhile"
