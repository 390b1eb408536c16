"""The runtime directory of one run: sockets and scratch, in memory where possible, gone when the run is.

`<base>/leasegrid-<user id>-<random>/` with `lock` (held by every process of the run), `m/` (sockets of members), `s/`
(their scratch), `o/` (objects of memory stores), `hints` and `store-<n>` (sockets of the fabric). A unix socket's path
has at most 107 bytes (unix(7)).
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from leasegrid.local.locks import FileLock, HeldElsewhereError, holder
from tasklet_runner.wire.errors import StateDirectoryError

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the directory is made 0700 under a random name, by mkdir, which follows no link
SHARED_MEMORY_BYTES = 1024**3
"""A container's default /dev/shm has 64 MiB, too little for scratch: it must have so much free to be used."""

LONGEST_BASE = 70
"""Characters of a base directory, so that every socket below it stays under the limit of 107."""

UNLOCKED_SECONDS = 60.0
"""A directory without a lock is being made; older than this, its maker died."""


@dataclass(frozen=True)
class RuntimeDirectory:
    """One run's own directory, mode 0700. `lock` is inherited by the zygote and its members."""

    path: Path
    lock: FileLock

    @property
    def hints(self) -> Path:
        """Where members' hints arrive: a unix datagram socket."""
        return self.path / "hints"

    def member_socket(self, number: int) -> Path:
        """The socket of the member with this number."""
        return self.path / "m" / str(number)

    def member_scratch(self, number: int) -> Path:
        """The scratch directory of the member with this number."""
        return self.path / "s" / str(number)

    def member_store(self, number: int) -> Path:
        """The directory of objects of the memory store with this number."""
        return self.path / "o" / str(number)

    def store_socket(self, number: int) -> Path:
        """The socket of the store with this number."""
        return self.path / f"store-{number}"

    def remove(self) -> None:
        """Delete it with everything in it and drop the lock. A second call does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.lock.release()


def create_runtime_directory(environment: Mapping[str, str] = os.environ) -> RuntimeDirectory:
    """A fresh one, in the first base that will do; raises StateDirectoryError when none does."""
    faults = []
    for base in _bases(environment):
        try:
            return _create_in(base)
        except OSError as error:
            faults.append(f"{base}: {error.strerror or error}")
    raise StateDirectoryError(
        f"no directory for sockets and scratch can be made ({'; '.join(faults) or 'no short writable base'})",
        remedy="set TMPDIR to a short path on a disk with free space",
    )


def reap_stale(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Remove the directories of this user's dead runs; returns what was removed.

    A run is dead when nobody holds its lock: not its command, not its zygote, none of its members.
    """
    candidates = [path for base in _candidates(environment) for path in base.glob(f"{_prefix()}*")]
    return [path for path in candidates if _is_ours(path) and _reap(path)]


def run_directories(environment: Mapping[str, str] = os.environ) -> list[tuple[Path, int]]:
    """This user's runtime directories, with the process whose run has each; 0 for one that is left over."""
    candidates = [path for base in _candidates(environment) for path in base.glob(f"{_prefix()}*")]
    return [(path, _user(path)) for path in candidates if _is_ours(path)]


def _user(path: Path) -> int:
    if not (path / "lock").exists():
        return 0 if _is_old(path) else os.getpid()
    return holder(path / "lock")


def _candidates(environment: Mapping[str, str]) -> list[Path]:
    named = (environment.get("XDG_RUNTIME_DIR", ""), environment.get("TMPDIR", ""), tempfile.gettempdir())
    unique = dict.fromkeys([SHARED_MEMORY, *(Path(base) for base in named if base)])
    return [base for base in unique if base.is_absolute() and base.is_dir()]


def _bases(environment: Mapping[str, str]) -> Iterator[Path]:
    for base in _candidates(environment):
        if len(str(base)) <= LONGEST_BASE and os.access(base, os.W_OK | os.X_OK) and _roomy(base):
            yield base


def _roomy(base: Path) -> bool:
    if base != SHARED_MEMORY:
        return True
    room = os.statvfs(base)
    return room.f_bavail * room.f_frsize >= SHARED_MEMORY_BYTES


def _create_in(base: Path) -> RuntimeDirectory:
    path = base / f"{_prefix()}{secrets.token_hex(4)}"
    path.mkdir(mode=0o700)
    try:
        lock = FileLock(path / "lock")
        (path / "m").mkdir()
        (path / "s").mkdir()
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return RuntimeDirectory(path, lock)


def _prefix() -> str:
    return f"leasegrid-{os.geteuid()}-"


def _is_ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid() and path.is_dir() and not path.is_symlink()
    except FileNotFoundError:
        return False


def _reap(path: Path) -> bool:
    if not (path / "lock").exists() and not _is_old(path):
        return False
    try:
        lock = FileLock(path / "lock")
    except (HeldElsewhereError, FileNotFoundError):
        return False
    shutil.rmtree(path, ignore_errors=True)
    lock.release()
    return True


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > UNLOCKED_SECONDS
    except FileNotFoundError:
        return False
