"""Reads what a plan names by path or URI, through fsspec, and turns every failure into an InputError that names it."""

import hashlib
import io
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from tasklet_runner.coordinator.archives import ArchiveWriter
from tasklet_runner.coordinator.blobs import BlobFile, BlobWriter
from tasklet_runner.plan.types import Source
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.work import BLOB_PIECE_BYTES

FileSystem = Any
"""An fsspec file system; fsspec has no types."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever a file system raises inside becomes an InputError that says what was being read."""
    try:
        yield
    except FileNotFoundError as error:
        raise _not_found(what, error) from error
    except PermissionError as error:
        raise InputError(f"{what} may not be read: {error}", remedy="give yourself the right to read it") from error
    except IsADirectoryError as error:
        raise InputError(f"{what} is a directory", remedy="name a file in it") from error
    except ImportError as error:
        raise InputError(f"{what} needs a package that is missing: {error}", remedy="pip install it") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{what} cannot be read: {error}", remedy="check the path or URI and the access to it"
        ) from error


def _not_found(what: str, error: FileNotFoundError) -> InputError:
    if isinstance(error.__cause__, OSError):
        # fsspec says the same of a server that does not answer; what it knows of it stands in the cause.
        return InputError(f"{what} cannot be read: {error.__cause__}", remedy="check the URI and the access to it")
    return InputError(f"{what} cannot be found", remedy="correct the path, or create the file")


def locate(uri: str, what: str) -> tuple[FileSystem, str]:
    """The file system of a path or URI, and the path there. Raises InputError."""
    with reading(f"{what} {uri}"):
        system, path = fsspec.core.url_to_fs(uri)
        return system, cast("str", path)


@contextmanager
def opened(source: Source, what: str) -> Iterator[BinaryIO]:
    """The source's bytes as a file. Raises InputError, also for what goes wrong while it is read."""
    if source.inline is not None:
        yield io.BytesIO(source.inline.encode())
        return
    system, path = locate(source.uri, what)
    with reading(f"{what} {source.uri}"), system.open(path, "rb") as file:
        yield cast("BinaryIO", file)


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """The rest of the file in pieces of at most 1 MiB."""
    while data := file.read(BLOB_PIECE_BYTES):
        yield data


def fetch(source: Source, path: Path, what: str) -> BlobFile:
    """Copy the source to `path` and check its SHA-256. Raises InputError; a wrong hash names both."""
    writer = BlobWriter(path)
    try:
        with opened(source, what) as file:
            for data in pieces(file):
                writer.write(data)
    except InputError:
        writer.abandon()
        raise
    blob = writer.finish()
    check_digest(source, blob.digest, what)
    return blob


def verify(source: Source, what: str) -> None:
    """Read the source once where a SHA-256 is given, else only open it. Raises InputError."""
    with opened(source, what) as file:
        if not source.digest:
            file.read(1)
            return
        digest = hashlib.sha256()
        for data in pieces(file):
            digest.update(data)
    check_digest(source, digest.hexdigest(), what)


def check_digest(source: Source, actual: str, what: str) -> None:
    """Raises InputError when the source was to have another SHA-256."""
    if source.digest and source.digest.lower() != actual:
        raise InputError(
            f"{what} {source.uri or '(inline)'} has the SHA-256 {actual}, the job says {source.digest}",
            remedy="rebuild the file, or correct sha256",
        )


def pack_mount(source: Source, path: Path) -> BlobFile:
    """A tar archive of a directory (or of one file, under its own name), sorted: one digest everywhere."""
    what = "the mount"
    system, root = locate(source.uri, what)
    archive = ArchiveWriter(path)
    try:
        with reading(f"{what} {source.uri}"):
            for name, found in _files_below(system, root):
                _add_file(archive, system, found, name)
    except InputError:
        archive.abandon()
        raise
    return archive.finish()


def _files_below(system: FileSystem, root: str) -> list[tuple[str, str]]:
    if system.isfile(root):
        return [(posixpath.basename(root), root)]
    if not system.isdir(root):
        raise FileNotFoundError(root)
    return sorted((posixpath.relpath(found, root), found) for found in system.find(root))


def _add_file(archive: ArchiveWriter, system: FileSystem, found: str, name: str) -> None:
    with system.open(found, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        archive.begin(name, size)
        for data in pieces(file):
            archive.write(data)
