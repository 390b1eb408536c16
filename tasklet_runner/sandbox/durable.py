"""What stands in a tasklet's /durable: which of its names count, how much it holds, and when that is too much.

A name that begins with a dot or ends in `.tmp` is a tasklet's scratch: it is never taken into a checkpoint, nor is
anything below it. So a tasklet commits by renaming `x.tmp` to `x`.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.sandbox.outcomes import output_too_large
from tasklet_runner.sandbox.trees import MAX_OUTPUT_FILES, MAX_PATH_BYTES
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import Limits

SNAPSHOT_NAME = "snapshot"
"""The file that holds the state of a module that exports `step`."""

SNAPSHOT_NAMES = (SNAPSHOT_NAME, ".snapshot.tmp")
"""That file, and what it is called while it is written."""

_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class SeenFile:
    """A regular file that counts: its path below /durable, bytes, and what changes whenever it does."""

    name: str
    size: int
    changed_ns: int
    device: int
    inode: int


@dataclass(frozen=True)
class Sighting:
    """/durable at one look: what counts, sorted by name, and the bytes of everything and of its largest file.

    A snapshot of a module that exports `step` is `snapshot_bytes` and counts into no other number of bytes.
    `refused` says in words why there is too much to look at; then the rest is not complete.
    """

    files: tuple[SeenFile, ...] = ()
    directories: tuple[str, ...] = ()
    all_bytes: int = 0
    largest: int = 0
    refused: str = ""
    snapshot_bytes: int = 0

    @property
    def kept_bytes(self) -> int:
        """Bytes of what counts, but for a snapshot."""
        return sum(file.size for file in self.files if file.name not in SNAPSHOT_NAMES)

    def same_files(self, other: "Sighting") -> bool:
        """True when what counts did not change in between, as far as time stamps tell."""
        return (self.files, self.directories) == (other.files, other.directories)


def counts(name: str) -> bool:
    """True for one part of a path that may go into a checkpoint."""
    return not name.startswith(".") and not name.endswith(".tmp")


def look(root: Path) -> Sighting:
    """What stands below `root`, where a tasklet may be at work: what vanishes meanwhile is passed over."""
    files: list[SeenFile] = []
    directories: list[str] = []
    all_bytes = entries = largest = snapshot = 0
    pending = [("", True)]
    while pending:
        directory, kept = pending.pop()
        for entry, status in _entries(f"{root}/{directory}"):
            name = f"{directory}/{entry}" if directory else entry
            entries += 1
            if entries > MAX_OUTPUT_FILES or len(os.fsencode(name)) > MAX_PATH_BYTES:
                return Sighting(refused=_too_much(entries))
            inside = kept and counts(entry)
            if stat.S_ISDIR(status.st_mode):
                pending.append((name, inside))
                directories += [name] if inside else []
            elif stat.S_ISREG(status.st_mode):
                files += [_seen(name, status)] if inside else []
                if name in SNAPSHOT_NAMES:
                    snapshot = max(snapshot, status.st_size)
                    continue
                all_bytes += status.st_size
                largest = max(largest, status.st_size)
    ordered = tuple(sorted(files, key=lambda file: file.name))
    return Sighting(ordered, tuple(sorted(directories)), all_bytes, largest, snapshot_bytes=snapshot)


def excess(sighting: Sighting, limits: Limits) -> Fault | None:
    """The fault of a /durable past `maxOutput`: each file and all that counts is bounded by it, and everything together
    by twice as much, as what is written anew stands beside what it will replace. A snapshot may be what it is
    of: all of memory, and stdout.
    """
    if sighting.refused:
        return output_too_large(limits, sighting.refused)
    if (most := max(sighting.kept_bytes, sighting.largest)) > limits.max_output:
        return output_too_large(limits, f"{most} bytes into /durable, past maxOutput")
    if sighting.snapshot_bytes > limits.memory + limits.max_output + _HEAD_BYTES:
        return output_too_large(limits, f"{sighting.snapshot_bytes} bytes as a snapshot, past memory and maxOutput")
    if sighting.all_bytes > 2 * limits.max_output:
        found = f"{sighting.all_bytes} bytes into /durable, past twice maxOutput (with names that are never kept)"
        return output_too_large(limits, found)
    return None


def _entries(directory: str) -> list[tuple[str, os.stat_result]]:
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
    except (FileNotFoundError, NotADirectoryError):
        return []
    return found


def _seen(name: str, status: os.stat_result) -> SeenFile:
    return SeenFile(name, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def _too_much(entries: int) -> str:
    if entries > MAX_OUTPUT_FILES:
        return f"more than {MAX_OUTPUT_FILES} files into /durable"
    return f"a path of more than {MAX_PATH_BYTES} bytes below /durable"
