"""The files of this machine that a plan names: found, measured, and put into the job's store."""

import asyncio
import hashlib
import os
import posixpath
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from leasegrid.cli import words
from leasegrid.rules.uploads import is_uploaded
from tasklet_runner.client.granted import StoreConnections, translated
from tasklet_runner.data.failures import reading
from tasklet_runner.data.found import Found
from tasklet_runner.data.storages import Storages
from tasklet_runner.plan.types import FilesInput, LinesInput, Plan, Source
from tasklet_runner.wire.errors import InputError, RefusedError, StoreError, UnreachableError
from tasklet_runner.wire.store import DIGEST_HEADER, GRANT_HEADER, object_path
from tasklet_runner.wire.uploads import UploadedFile, Uploads, file_key

SMALL_BYTES = 1024 * 1024
BATCH_BYTES = 8 * 1024 * 1024
BATCH_FILES = 256
_PIECE_BYTES = 1024 * 1024

Files = list[tuple[str, Path]]
"""Locations as the operator's plan has them, and what stands there on this machine."""


@dataclass(frozen=True)
class Parcel:
    """All that a job needs of this machine. `paths`: one file for each digest."""

    uploads: Uploads
    paths: dict[str, Path]
    sizes: dict[str, int]

    @property
    def size(self) -> int:
        """Bytes that are put: equal files once."""
        return sum(self.sizes.values())


def pack(here: Plan, there: Plan) -> Parcel:
    """Find and measure what the plan names. `here`: with this machine's paths; `there`: as the operator plans it.

    Blocking. Raises InputError: a file is missing, may not be read, or changes while it is read.
    """
    places = dict(_places(here, there, Storages()))
    known: dict[Path, tuple[str, int]] = {}
    paths: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    found: dict[str, tuple[UploadedFile, ...]] = {}
    for place, files in places.items():
        for _, path in files:
            if path not in known:
                known[path] = measured(path)
                paths[known[path][0]], sizes[known[path][0]] = path, known[path][1]
        found[place] = tuple(UploadedFile(location, known[path][1], known[path][0]) for location, path in files)
    return Parcel(Uploads(found), paths, sizes)


def check_room(parcel: Parcel, plan: Plan) -> None:
    """Raises StoreError when the files alone are more than the job's store may hold."""
    if parcel.size > plan.output.size:
        raise StoreError(
            f"the files of {plan.name} are {words.size(parcel.size)}, its store has {words.size(plan.output.size)}",
            remedy="raise spec.output.size: uploads and outputs need room there, or name large inputs by URI",
        )


def _places(here: Plan, there: Plan, storages: Storages) -> Iterator[tuple[str, Files]]:
    for mine, its in zip(here.stages, there.stages, strict=True):
        yield from _single(mine.tasklet.source, its.tasklet.source, storages)
        for wheel, same in zip(mine.tasklet.wheels, its.tasklet.wheels, strict=True):
            yield from _single(wheel, same, storages)
        for mount, its_mount in zip(mine.tasklet.mounts, its.tasklet.mounts, strict=True):
            yield from _tree(mount.source.uri, its_mount.source.uri, storages)
        if isinstance(mine.input, LinesInput) and isinstance(its.input, LinesInput):
            yield from _single(mine.input.source, its.input.source, storages)
        if isinstance(mine.input, FilesInput) and isinstance(its.input, FilesInput):
            yield from _globs(mine.input, its.input, storages)


def _single(mine: Source, its: Source, storages: Storages) -> Iterator[tuple[str, Files]]:
    if is_uploaded(its.uri):
        with reading(f"the file {mine.uri}"):
            yield its.uri, [(its.uri, Path(storages.of(mine.uri).stat(mine.uri).location))]


def _tree(mine: str, its: str, storages: Storages) -> Iterator[tuple[str, Files]]:
    if is_uploaded(its):
        with reading(f"the mount {mine}"):
            found = storages.of(mine).below(mine)
        yield its, [(_moved(one, mine, its), Path(one.location)) for one in found]


def _globs(mine: FilesInput, its: FilesInput, storages: Storages) -> Iterator[tuple[str, Files]]:
    """As on one machine, a glob may match nothing where others match."""
    places: list[tuple[str, Files]] = []
    for pattern, its_pattern in zip(mine.globs, its.globs, strict=True):
        if is_uploaded(its_pattern):
            with reading(f"the glob {pattern}"):
                found = storages.of(pattern).glob(pattern)
            places.append((its_pattern, [(_moved(one, mine.root, its.root), Path(one.location)) for one in found]))
    if len(places) == len(its.globs) and not any(files for _, files in places):
        raise InputError(
            f"no file matches {', '.join(mine.globs)}",
            remedy="correct the globs; they are relative to the YAML's directory",
        )
    yield from places


def _moved(found: Found, mine: str, its: str) -> str:
    """The location that a file has below another root."""
    below = posixpath.relpath(found.location, mine.removeprefix("file://"))
    return posixpath.normpath(posixpath.join(its.removeprefix("file://"), below))


def measured(path: Path) -> tuple[str, int]:
    """SHA-256 in hex and bytes of a file. Raises InputError: it cannot be read, or changed meanwhile."""
    digest = hashlib.sha256()
    with reading(f"the file {path}"), path.open("rb") as file:
        before = os.fstat(file.fileno())
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(path)
    return digest.hexdigest(), after.st_size


async def deliver(parcel: Parcel, endpoint: str, grant: str) -> str:
    """Put all of it, the list last; returns the list's digest. What is there already is put again: it is no error.

    Raises InputError (a file is gone or has changed), StoreError, RefusedError, UnreachableError.
    """
    listed = msgspec.json.encode(parcel.uploads)
    digest = hashlib.sha256(listed).hexdigest()
    async with StoreConnections() as connections:
        for batch in _batches(parcel):
            contents = [(file_key(one), await asyncio.to_thread(_content, parcel.paths[one], one)) for one in batch]
            await connections.put_batch(endpoint, grant, contents)
        for one, size in parcel.sizes.items():
            if size > SMALL_BYTES:
                await _put_large(connections, endpoint, {GRANT_HEADER: grant, DIGEST_HEADER: one}, parcel.paths[one])
        await connections.put_batch(endpoint, grant, [(file_key(digest), listed)])
    return digest


def _batches(parcel: Parcel) -> Iterator[list[str]]:
    batch: list[str] = []
    gathered = 0
    for digest, size in parcel.sizes.items():
        if size > SMALL_BYTES:
            continue
        if batch and (len(batch) >= BATCH_FILES or gathered + size > BATCH_BYTES):
            yield batch
            batch, gathered = [], 0
        batch.append(digest)
        gathered += size
    if batch:
        yield batch


def _content(path: Path, digest: str) -> bytes:
    with reading(f"the file {path}"):
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise _changed(path)
    return data


async def _put_large(connections: StoreConnections, endpoint: str, headers: dict[str, str], path: Path) -> None:
    digest, size = headers[DIGEST_HEADER], _size(path)
    headers = {**headers, "Content-Length": str(size)}
    try:
        with translated(endpoint, f"take {path}"):
            asked = connections.answer(endpoint, "PUT", object_path(file_key(digest)), headers, _pieces(path))
            async with asked as response:
                await response.read()
    except RefusedError as error:
        if error.reason == "DigestMismatch":
            raise _changed(path) from error
        raise
    except UnreachableError as error:
        # A body of another length than was announced looks like a connection that broke.
        if _size(path) != size:
            raise _changed(path) from error
        raise


def _size(path: Path) -> int:
    with reading(f"the file {path}"):
        return path.stat().st_size


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with reading(f"the file {path}"), path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece


def _changed(path: Path) -> InputError:
    return InputError(f"the file {path} changed while it was read", remedy="leave it alone, and submit again")
