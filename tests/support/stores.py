"""Stores for tests: opened over a directory, closed at the end of the block."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import CommitRecord, NewObject

MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def opened(
    directory: Path, *, uid: str = "store-1", quota_bytes: int = 64 * MEBIBYTE, term: int = 1
) -> AsyncIterator[DiskStore]:
    """A DiskStore for the length of a block."""
    store = DiskStore.open(directory, uid=uid, quota_bytes=quota_bytes, term=term)
    try:
        yield store
    finally:
        await store.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """An object that arrives in these pieces."""
    for part in parts:
        yield part


def commit(index: int, attempt: int = 1, *, objects: tuple[str, ...] = ("stdout",), path: str = "") -> CommitRecord:
    """A commit of stage `main`."""
    return CommitRecord("main", index, attempt, f"{index}-00", objects=objects, path=path)


def output(index: int, data: bytes, suffix: str = "stdout", attempt: int = 1) -> NewObject:
    """An object of stage `main`."""
    return NewObject(f"main/{index}/{attempt}/{suffix}", data)


def files_below(directory: Path) -> dict[str, bytes]:
    """Every file below a directory by its relative path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in _files(directory)}


def _files(directory: Path) -> Iterable[Path]:
    return (path for path in directory.rglob("*") if path.is_file())
