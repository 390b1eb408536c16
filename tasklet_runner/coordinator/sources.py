"""Reads what a plan names by path, URI or OCI reference, and turns every failure into an InputError that names it."""

import hashlib
import io
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from tasklet_runner.coordinator.archives import ArchiveWriter
from tasklet_runner.coordinator.blobs import BlobFile, BlobWriter
from tasklet_runner.data.failures import reading
from tasklet_runner.data.found import Found
from tasklet_runner.data.storages import OCI, Storages, scheme_of
from tasklet_runner.plan.types import Source
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.work import BLOB_PIECE_BYTES

MAX_SOURCE_BYTES = 1024**3
"""No module, Python file or wheel is larger: an address that yields bytes without end must not fill the disk."""


@contextmanager
def opened(source: Source, what: str, storages: Storages, mark: str = "") -> Iterator[BinaryIO]:
    """The source's bytes as a file. Raises InputError, also for what goes wrong while it is read, and when the source
    has another mark by now.
    """
    if source.inline is not None:
        yield io.BytesIO(source.inline.encode())
        return
    with reading(f"{what} {source.uri}"):
        if scheme_of(source.uri)[0] == OCI:
            # Here and not above: most runs pull nothing, and start sooner.
            from tasklet_runner.data.registries import open_module

            with open_module(source.uri, source.secret, storages.access) as file:
                yield file
            return
        with storages.of(source.uri).open(Found(source.uri, mark=mark)) as file:
            yield file


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of the file in pieces of at most 1 MiB."""
    while data := file.read(BLOB_PIECE_BYTES):
        yield data


def beginning(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, fewer at the end only: a stream gives what has arrived so far."""
    parts: list[bytes] = []
    while size and (data := file.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def fetch(source: Source, path: Path, what: str, storages: Storages) -> BlobFile:
    """Copy the source to `path` and check its SHA-256. Raises InputError; a wrong hash names both."""
    writer = BlobWriter(path)
    try:
        with opened(source, what, storages) as file:
            for data in pieces(file):
                writer.write(data)
                _check_size(writer.size, what, source)
        blob = writer.finish()
        check_digest(source, blob.digest, what)
    except BaseException:
        writer.abandon()
        raise
    return blob


def _check_size(size: int, what: str, source: Source) -> None:
    if size > MAX_SOURCE_BYTES:
        raise InputError(
            f"{what} {source.uri} is larger than {MAX_SOURCE_BYTES // 1024**2} MiB",
            remedy="name the file itself; data for all chunks belong into mounts",
        )


def verify(source: Source, what: str, storages: Storages) -> str:
    """Read the source once where a SHA-256 is given, else only open it. Returns its mark. Raises InputError."""
    mark = ""
    if source.inline is None:
        with reading(f"{what} {source.uri}"):
            mark = storages.of(source.uri).stat(source.uri).mark
    with opened(source, what, storages, mark) as file:
        if not source.digest:
            file.read(1)
            return mark
        digest = hashlib.sha256()
        for data in pieces(file):
            digest.update(data)
    check_digest(source, digest.hexdigest(), what)
    return mark


def check_digest(source: Source, actual: str, what: str) -> None:
    """Raises InputError when the source was to have another SHA-256."""
    if source.digest and source.digest.lower() != actual:
        raise InputError(
            f"{what} {source.uri or '(inline)'} has the SHA-256 {actual}, the job says {source.digest}",
            remedy="rebuild the file, or correct sha256",
        )


def pack_mount(source: Source, path: Path, storages: Storages) -> BlobFile:
    """A tar archive of a directory (or of one file, under its own name), sorted: one digest everywhere."""
    archive = ArchiveWriter(path)
    try:
        with reading(f"the mount {source.uri}"):
            storage = storages.of(source.uri)
            for name, found in _named(storage.below(source.uri), source.uri):
                with storage.open(found) as file:
                    _add_file(archive, file, name, found.size)
    except BaseException:
        archive.abandon()
        raise
    return archive.finish()


def _named(found: list[Found], root: str) -> list[tuple[str, Found]]:
    root = root.removeprefix("file://").rstrip("/") or "/"
    if len(found) == 1 and found[0].location == root:
        return [(posixpath.basename(root.partition("?")[0]), found[0])]
    return sorted(((posixpath.relpath(one.location, root), one) for one in found), key=lambda named: named[0])


def _add_file(archive: ArchiveWriter, file: BinaryIO, name: str, size: int) -> None:
    if size < 0:
        archive.add(name, beginning(file, MAX_SOURCE_BYTES))
        return
    archive.begin(name, size)
    for data in pieces(file):
        archive.write(data)
