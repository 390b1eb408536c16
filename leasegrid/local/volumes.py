"""Volumes: directories of the state directory that hold the bytes of a Block lease, a job's store or a cache.

`<volume>/run.lock` is held by the command that serves it, or whose members do; `<volume>/term` is the generation of the
last that did, `<volume>/lease` says whose it is and until when (`standing`), `<volume>/store/` are the bytes. A Block
member that serves them holds `<volume>/store/lock`, and may live on for a while when its command has died. What goes
first is the bytes, what goes last is the row in the books: a crash in between leaves something that the next command
finds and ends.
"""

import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from leasegrid.local.locks import FileLock, HeldElsewhereError, holder
from tasklet_runner.wire.errors import StateDirectoryError

LOCK = "run.lock"
STORE_LOCK = "lock"
"""Of the bytes themselves, as `tasklet_runner.store.locks` has it."""

EVICT_SECONDS = 7.0
"""A member that is told to end lets requests that are under way finish, for five seconds."""

_TERM = "term"
_CLEARED = "cleared-"
"""Before the name of bytes that are being deleted."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True)
class Volume:
    """A volume in use: this process alone serves it, under this term, until `release`."""

    path: Path
    term: int
    lock: FileLock

    @property
    def store(self) -> Path:
        """Where the bytes are; the directory may not exist yet."""
        return self.path / "store"

    def clear(self) -> None:
        """Delete the bytes; the term and the lock stay."""
        self._set_aside()
        _remove_cleared(self.path)

    def delete(self) -> int:
        """Delete the volume and let go of it; returns how many bytes were freed."""
        freed = byte_count(self.path)
        self._set_aside()
        shutil.rmtree(self.path, ignore_errors=True)
        self.lock.release()
        return freed

    def _set_aside(self) -> None:
        """At one instant all of the bytes are gone: half of a store could be taken for one that lost its end."""
        with suppress(OSError):
            self.store.rename(self.path / f"{_CLEARED}{secrets.token_hex(4)}")
            _sync_directory(self.path)

    def release(self) -> None:
        """Let the next one in."""
        self.lock.release()


def hold_volume(path: Path, what: str) -> Volume:
    """Take the volume for this process and raise its term; `what` names it in messages.

    Raises StateDirectoryError: another process serves it (the message says which), or the disk fails.
    """
    with translated(what, path):
        _make(path)
        try:
            lock = FileLock(path / LOCK)
        except HeldElsewhereError as error:
            raise StateDirectoryError(
                f"{what} is in use by process {error.pid or 'unknown'}",
                remedy="wait until that run ends, or end it (Ctrl-C or SIGTERM); one run at a time",
            ) from error
        try:
            _remove_cleared(path)
            return Volume(path, _raise_term(path), lock)
        except BaseException:
            lock.release()
            raise


def new_volume(path: Path) -> Volume:
    """Make a volume of that name for this process. Raises StateDirectoryError."""
    with translated("a new volume", path):
        _make(path)
        return Volume(path, 0, FileLock(path / LOCK))


def try_hold(path: Path) -> Volume | None:
    """The volume for one who would delete it; None while a process serves it. Raises StateDirectoryError."""
    with translated("a volume", path):
        try:
            volume = Volume(path, 0, FileLock(path / LOCK))
        except (HeldElsewhereError, FileNotFoundError):
            return None
    if server_of(volume):
        volume.release()
        return None
    return volume


def serving_process(path: Path) -> int:
    """The process that serves the volume now, 0 for none."""
    return holder(path / LOCK) or holder(path / "store" / STORE_LOCK)


def server_of(volume: Volume) -> int:
    """The member that serves the bytes of a volume that this process holds, 0 for none."""
    return holder(volume.store / STORE_LOCK)


def evict(volume: Volume) -> None:
    """End the member of a dead command that serves the volume; everything is durable then. Blocking, some seconds.

    Raises StateDirectoryError when it cannot be ended.
    """
    until = time.monotonic() + EVICT_SECONDS
    while pid := server_of(volume):
        late = time.monotonic() > until
        if time.monotonic() > until + EVICT_SECONDS:
            raise StateDirectoryError(
                f"the store in {volume.path} is in use by process {pid}, which does not end", remedy="end that process"
            )
        _signal_server(volume, pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.02)


def _signal_server(volume: Volume, pid: int, number: signal.Signals) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # It still holds the lock, so the descriptor is its own and not that of another with its id.
        if server_of(volume) == pid:
            signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return
    finally:
        os.close(process)


def byte_count(path: Path) -> int:
    """Bytes that the files below a directory take on the disk."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except FileNotFoundError:
                # A command that is running may fold its log or end at this moment.
                continue
    return total


def component(name: str, what: str) -> str:
    """The name as one path component; raises StateDirectoryError for one that would lead elsewhere."""
    if not _SAFE_NAME.fullmatch(name):
        raise StateDirectoryError(
            f"{what} {name!r} cannot be the name of a directory",
            remedy="use letters, digits, '-' and '.', at most 253, a letter or digit first",
        )
    return name


def _remove_cleared(path: Path) -> None:
    for bytes_of_another in path.glob(f"{_CLEARED}*"):
        shutil.rmtree(bytes_of_another, ignore_errors=True)


def _raise_term(path: Path) -> int:
    """One more than ever before; durable on return. Guarded by the volume's lock."""
    known = path / _TERM
    text = known.read_text(encoding="ascii", errors="replace").strip() if known.exists() else "0"
    if not text.isdecimal():
        raise StateDirectoryError(
            f"the term in {known} is damaged: {text[:40]!r}", remedy=f"delete {path} if its contents are not needed"
        )
    term = int(text) + 1
    write_durably(known, f"{term}\n".encode("ascii"))
    return term


def write_durably(path: Path, content: bytes) -> None:
    """Replace a small file whole; after a power cut it is the old one or the new one. Raises OSError."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _make(path: Path) -> None:
    """The directory, and those above it, durable."""
    if path.is_dir():
        return
    _make(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def translated(what: str, path: Path) -> Iterator[None]:
    """What the operating system says of a volume, in our words."""
    try:
        yield
    except OSError as error:
        raise StateDirectoryError(
            f"{what} cannot be kept in {path}: {error.strerror or error}",
            remedy="check rights and free space, or set XDG_STATE_HOME to another directory",
        ) from error
