"""Snapshots on disk: written beside the last one and renamed over it, read back into memory without a copy between."""

import contextlib
import ctypes
import errno
import os
import resource
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from tasklet_runner.sandbox.durable import SNAPSHOT_NAME, SNAPSHOT_NAMES
from tasklet_runner.sandbox.outcomes import mebibytes
from tasklet_runner.sandbox.snapshots import (
    PAGE_BYTES,
    Description,
    bitmap,
    damaged,
    decode_head,
    encode_head,
    head_bytes,
    runs_of,
)
from tasklet_runner.wire.errors import InputError

_FIRST_BYTES = 4096
_MAX_PARTS = 1024
"""IOV_MAX of Linux: so many pieces of memory go into one call."""

_compare = ctypes.CDLL(None).memcmp
_compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


def write_snapshot(directory: Path, description: Description, memory: memoryview, stdout: bytes) -> None:
    """Replace the directory's snapshot in one step; when it fails, the last one stays as it is.

    `memory` is all of linear memory; what `description` says of pages, stdout and the checksum is filled in here.

    Raises:
        InputError: there is no room for it.
    """
    count = len(memory) // PAGE_BYTES
    present = bitmap(_filled_pages(memory), count)
    parts = [memory[first * PAGE_BYTES : end * PAGE_BYTES] for first, end in runs_of(present, count)]
    parts.append(memoryview(stdout))
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    whole = msgspec.structs.replace(description, pages=count, present=present, stdout=len(stdout), checksum=checksum)
    temporary = directory / SNAPSHOT_NAMES[1]
    try:
        with _any_file_size(), open(temporary, "wb", buffering=0) as file:
            _write_all(file.fileno(), [memoryview(encode_head(whole)), *parts])
        temporary.replace(directory / SNAPSHOT_NAME)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"a snapshot of {mebibytes(whole.body_bytes)} does not fit into the member's scratch beside the last one",
            remedy="give members more memory (resources.memory of the pool)",
        ) from error


class SnapshotFile:
    """A snapshot that was opened: its description is right, its pages are checked while they are read."""

    def __init__(self, descriptor: int, description: Description, start: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self.description = description

    @classmethod
    def open(cls, directory: Path) -> Self | None:
        """The directory's snapshot; None when there is none. Raises SnapshotRefusedError."""
        try:
            descriptor = os.open(directory / SNAPSHOT_NAME, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            start = os.pread(descriptor, _FIRST_BYTES, 0)
            length = head_bytes(start, os.fstat(descriptor).st_size)
            head = start if length == len(start) else os.pread(descriptor, length, 0)
            return cls(descriptor, decode_head(head), length)
        except BaseException:
            os.close(descriptor)
            raise

    def load(self, memory: memoryview) -> bytes:
        """Make `memory`, which is as large as `description.pages`, what it was; stdout so far.

        Raises:
            SnapshotRefusedError: the pages are not what was written. `memory` is then of no use.
        """
        checksum, behind, offset = 0, 0, self._start
        for first, end in self.description.runs:
            _clear(memory[behind * PAGE_BYTES : first * PAGE_BYTES])
            part = memory[first * PAGE_BYTES : end * PAGE_BYTES]
            offset += _read_into(self._descriptor, part, offset)
            checksum = zlib.crc32(part, checksum)
            behind = end
        _clear(memory[behind * PAGE_BYTES :])
        stdout = bytearray(self.description.stdout)
        _read_into(self._descriptor, memoryview(stdout), offset)
        if zlib.crc32(stdout, checksum) != self.description.checksum:
            raise damaged("its pages do not have their checksum")
        return bytes(stdout)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _filled_pages(memory: memoryview) -> list[int]:
    """The pages with anything but zeros."""
    if not memory:
        return []
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return [page for page in range(len(memory) // PAGE_BYTES) if not _is_zero(base + page * PAGE_BYTES)]


def _is_zero(address: int) -> bool:
    # Every byte is as the one before it, and the first is zero.
    first = ctypes.c_ubyte.from_address(address).value
    return first == 0 and not _compare(address, address + 1, PAGE_BYTES - 1)


def _clear(memory: memoryview) -> None:
    for page in _filled_pages(memory):  # only those: a page that was never touched costs nothing as long as it is not
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + page * PAGE_BYTES
        ctypes.memset(start, 0, PAGE_BYTES)


@contextlib.contextmanager
def _any_file_size() -> Iterator[None]:
    # The bound of files is for what the tasklet writes; a snapshot is as large as its memory.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _write_all(descriptor: int, parts: list[memoryview]) -> None:
    while parts:
        written = os.writev(descriptor, parts[:_MAX_PARTS])
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if parts:
            parts[0] = parts[0][written:]


def _read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    done = 0
    while done < len(buffer):
        count = os.preadv(descriptor, [buffer[done:]], offset + done)
        if count == 0:
            raise damaged("it ends too early")
        done += count
    return done
