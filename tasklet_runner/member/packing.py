"""Taking /durable as it is at one instant: a tar archive of what counts there, and what changed since the last one.

Done in a child of the member's main process. The slot's process stands still (SIGSTOP) while its files are copied, so
that a checkpoint never mixes two instants and never holds half a file: whatever time stamps say, nothing moves. A copy
within memory takes about a millisecond for four megabytes. A file that is open for writing at that instant does not
count yet: the instant was a bad one and another is looked for; if it stays open, and no checkpoint had it, it is left
out.
"""

import mmap
import os
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tasklet_runner.durable.deltas import changed_runs, encode, encoded_bytes
from tasklet_runner.member.standing import Inodes, SlotProcessId, open_for_writing, standing_still
from tasklet_runner.sandbox.durable import SeenFile, Sighting, look
from tasklet_runner.wire.errors import LeaseGridError

TRIES = 40
PAUSE_SECONDS = 0.02
"""So often and with such a pause between, another instant is looked for in which no file is half written."""

HOPEFUL_TRIES = 5
"""From then on a file that no checkpoint has may stay open, as a log does: it is left out."""

_COPY_BYTES = 1024 * 1024
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


@dataclass(frozen=True)
class Packs:
    """Three files of one task: the archive that the store has, the one that it is to have, and the way between them."""

    directory: Path

    @property
    def kept(self) -> Path:
        """What the store acknowledged last."""
        return self.directory / "kept"

    @property
    def fresh(self) -> Path:
        """What is to be put; not there when nothing changed."""
        return self.directory / "fresh"

    @property
    def delta(self) -> Path:
        """What turns one into the other; not there when a full one is better."""
        return self.directory / "delta"


def may_be_delta(delta_bytes: int, full_bytes: int, since_full: int) -> bool:
    """Whether a delta is put where its base is known: never more than half of a full one in all of them since the last
    full one (`since_full` bytes), so that reading them back costs at most half as much again.
    """
    return 2 * (since_full + delta_bytes) <= full_bytes


def take(root: Path, packs: Packs, slot: SlotProcessId, since_full: int | None) -> None:
    """Write `packs.fresh` and, where it is the better way, `packs.delta`; neither when there is nothing new to keep.
    `since_full` None: a full one is wanted.

    Raises:
        LeaseGridError: a file that counted before stays open for writing, the process does not stand still, or there
            is more than may be.
        OSError: scratch is full, or the process is gone.
    """
    packs.fresh.unlink(missing_ok=True)
    known = _names(packs.kept)
    for number in range(TRIES):
        with standing_still(slot):
            seen = _whole_look(root)
            half = half_written(seen, open_for_writing(slot.number))
            bad = half if number < HOPEFUL_TRIES else half & known
            if not bad:
                if packs.kept.exists() or len(seen.files) > len(half):
                    _pack_to(packs.fresh, root, seen, half)
                break
        time.sleep(PAUSE_SECONDS)
    else:
        raise LeaseGridError(
            f"/durable/{min(bad)} stays open for writing", remedy="write to a name that ends in .tmp, then rename it"
        )
    _compare(packs, since_full)


def half_written(seen: Sighting, writing: Inodes) -> frozenset[str]:
    """The names of files that somebody may still write to."""
    return frozenset(file.name for file in seen.files if (file.device, file.inode) in writing)


def pack(root: Path, seen: Sighting, left_out: frozenset[str], target: BinaryIO) -> None:
    """A tar archive with nothing but names and bytes, in order of names: the same files make the same archive, and a
    file that does not change keeps its place as long as those before it keep their sizes.
    """
    for name in seen.directories:
        target.write(_header(name, 0, tarfile.DIRTYPE))
    for file in seen.files:
        if file.name not in left_out:
            _add(root, file, target)
    target.write(_END)


def _whole_look(root: Path) -> Sighting:
    seen = look(root)
    if seen.refused:
        raise LeaseGridError(f"the tasklet wrote {seen.refused}")
    return seen


def _names(archive: Path) -> frozenset[str]:
    if not archive.exists():
        return frozenset()
    with tarfile.open(archive, "r:") as reader:
        return frozenset(reader.getnames())


def _pack_to(path: Path, root: Path, seen: Sighting, left_out: frozenset[str]) -> None:
    with path.open("wb") as target:
        pack(root, seen, left_out, target)


def _header(name: str, size: int, kind: bytes) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.type, header.mode = size, kind, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _add(root: Path, file: SeenFile, target: BinaryIO) -> None:
    descriptor = os.open(root / file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as source:
        target.write(_header(file.name, file.size, tarfile.REGTYPE))
        left = file.size
        while left and (piece := source.read(min(left, _COPY_BYTES))):
            target.write(piece)
            left -= len(piece)
    if left:
        raise LeaseGridError(f"/durable/{file.name} became shorter while it was read")
    target.write(bytes(-file.size % _BLOCK))


def _compare(packs: Packs, since_full: int | None) -> None:
    packs.delta.unlink(missing_ok=True)
    if not (packs.kept.exists() and packs.fresh.exists()):
        return
    old, new = mapped(packs.kept), mapped(packs.fresh)
    runs = changed_runs(old, new)
    if not runs and len(old) == len(new):
        packs.fresh.unlink()
    elif since_full is not None and may_be_delta(encoded_bytes(runs), len(new), since_full):
        packs.delta.write_bytes(encode(runs, new))


def mapped(path: Path) -> memoryview:
    """The bytes of a file that is not empty, without a copy; unmapped with the last view of them."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
