"""Bytes at places of files: whole or OSError."""

import os
from collections.abc import Iterator
from pathlib import Path

Buffer = bytes | bytearray | memoryview
"""One-dimensional bytes; a memoryview is of format B."""

PIECE_BYTES = 1024 * 1024


def open_file(path: Path, flags: int) -> int:
    """A descriptor, for this process alone."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def write_at(descriptor: int, data: Buffer, at: int) -> None:
    """All of the bytes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def read_at(descriptor: int, at: int, length: int) -> bytes:
    """These bytes; fewer where the file ends."""
    data = os.pread(descriptor, length, at)
    if len(data) in (0, length):
        return data
    return data + read_at(descriptor, at + len(data), length - len(data))


def pieces_at(descriptor: int, at: int, length: int) -> Iterator[bytes]:
    """These bytes in flat memory; fewer where the file ends."""
    end = at + length
    while at < end and (piece := read_at(descriptor, at, min(PIECE_BYTES, end - at))):
        yield piece
        at += len(piece)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = open_file(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
