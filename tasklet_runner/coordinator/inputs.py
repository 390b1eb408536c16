"""Inputs that the coordinator reads itself: items, counts, lines, files, and shards of them.

Everything here is a lazy iterator of chunks, so that a hundred thousand need no memory. Where reading blocks, the
engine runs it in a thread.
"""

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tasklet_runner.coordinator.archives import ArchiveWriter
from tasklet_runner.coordinator.blobs import BlobWriter
from tasklet_runner.coordinator.chunk import MAX_INLINE_INPUT_BYTES, Chunk
from tasklet_runner.coordinator.sources import beginning, opened, pieces, verify
from tasklet_runner.data.failures import reading
from tasklet_runner.data.found import Found
from tasklet_runner.data.storages import Storages, scheme_of
from tasklet_runner.plan.chunks import chunk_id
from tasklet_runner.plan.types import CountInput, FilesInput, ItemsInput, LinesInput
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.faults import Fault, FaultKind

OwnInput = ItemsInput | CountInput | LinesInput | FilesInput

LINES = "the lines of"


@dataclass(frozen=True)
class FoundFile:
    """A file of the input: what was listed, and its path below the root."""

    found: Found
    path: str

    @property
    def location(self) -> str:
        """An absolute path or a URI."""
        return self.found.location


@dataclass(frozen=True)
class Packing:
    """How inputs become chunks: `scratch` takes the archives, `prefix` makes their names unique, `files`: the tasklet
    has /in.
    `storages`: where inputs are read.
    """

    scratch: Path
    prefix: str
    files: bool = False
    storages: Storages = field(default_factory=Storages)

    def chunk(self, index: int, data: bytes, path: str = "") -> Chunk:
        """A chunk of these bytes; a large input goes into an archive."""
        if len(data) <= MAX_INLINE_INPUT_BYTES:
            return Chunk(index=index, chunk_id=chunk_id(index, data), input=data, path=path)
        archive = self.archive(index)
        archive.add("stdin", data)
        if self.files and path:
            archive.add(f"in/{path}", data)
        return self.packed(index, archive, path)

    def archive(self, index: int) -> ArchiveWriter:
        """A new archive for this chunk's input."""
        return ArchiveWriter(self.scratch / f"{self.prefix}-{index}.tar")

    def packed(self, index: int, archive: ArchiveWriter, path: str = "") -> Chunk:
        """The chunk of a finished archive, named by the archive's hash."""
        blob = archive.finish()
        return Chunk(index=index, chunk_id=f"{index}-{blob.digest[:32]}", path=path, blob=blob)


def items(given: ItemsInput, packing: Packing) -> Iterator[Chunk]:
    """A chunk per item."""
    for index, item in enumerate(given.items):
        chunk = packing.chunk(index, item.value.encode())
        chunk.requirements = item.requirements
        yield chunk


def count(given: CountInput) -> Iterator[Chunk]:
    """So many chunks without input."""
    return (Chunk(index=index, chunk_id=chunk_id(index, b"")) for index in range(given.count))


def lines(given: LinesInput, packing: Packing, mark: str = "") -> Iterator[Chunk]:
    """A chunk per `per_chunk` lines. Raises InputError when the text cannot be read on, or has another mark."""
    with opened(given.source, LINES, packing.storages, mark) as file:
        for index, data in enumerate(_grouped(file, given.per_chunk)):
            yield packing.chunk(index, data)


def _grouped(file: Iterable[bytes], per_chunk: int) -> Iterator[bytes]:
    group: list[bytes] = []
    for line in file:
        group.append(line)
        if len(group) == per_chunk:
            yield b"".join(group)
            group = []
    if group:
        yield b"".join(group)


def check_lines(given: LinesInput, storages: Storages) -> str:
    """The mark of the text. Raises InputError when it cannot be opened or has another SHA-256."""
    return verify(given.source, LINES, storages)


def find_files(given: FilesInput, storages: Storages) -> list[FoundFile]:
    """The files that the globs name, each once, sorted by their path below the root. Raises InputError when there are
    none, when one is outside the root or may not be read.
    """
    found: dict[str, Found] = {}
    for pattern in given.globs:
        found.update({one.location: one for one in _matches(pattern, storages)})
    if not found:
        raise InputError(
            f"no file matches {', '.join(given.globs)}",
            remedy="correct the globs; they are relative to the YAML's directory",
        )
    root = given.root.removeprefix("file://")
    return sorted((FoundFile(one, _below(one.location, root)) for one in found.values()), key=lambda file: file.path)


def _matches(pattern: str, storages: Storages) -> list[Found]:
    with reading(f"the glob {pattern}"):
        found = storages.of(pattern).glob(pattern)
    for one in found if scheme_of(pattern)[0] == "file" and storages.access.files is None else ():
        if not os.access(one.location, os.R_OK):
            raise InputError(
                f"the input file {one.location} may not be read", remedy="give yourself the right to read it"
            )
    return found


def _below(location: str, root: str) -> str:
    path = posixpath.relpath(location, root)
    if path == ".." or path.startswith("../"):
        raise InputError(
            f"the input file {location} is outside the root {root}", remedy="set files.root above all globs"
        )
    return path


def files(found: Iterable[FoundFile], packing: Packing) -> Iterator[Chunk]:
    """A chunk per file; one that cannot be read any more, or has changed, is a chunk with a fault."""
    for index, file in enumerate(found):
        yield _file_chunk(file, index, packing)


def _file_chunk(file: FoundFile, index: int, packing: Packing) -> Chunk:
    where = packing.storages.of(file.location)
    try:
        with reading(f"the input file {file.location}"), where.open(file.found) as stream:
            start = beginning(stream, MAX_INLINE_INPUT_BYTES + 1)
            if len(start) <= MAX_INLINE_INPUT_BYTES:
                return packing.chunk(index, start, file.path)
            return _large_file(start, stream, file, index, packing)
    except InputError as error:
        return unreadable(index, file, error)


def _large_file(start: bytes, stream: BinaryIO, file: FoundFile, index: int, packing: Packing) -> Chunk:
    if file.found.size < 0:
        return _unmeasured(start, stream, file, index, packing)
    size = file.found.size
    archive = packing.archive(index)
    try:
        offset = archive.begin("stdin", size)
        archive.write(start)
        for data in pieces(stream):
            archive.write(data)
        if packing.files:
            archive.again(f"in/{file.path}", offset, size)
        return packing.packed(index, archive, file.path)
    except BaseException:
        archive.abandon()
        raise


def _unmeasured(start: bytes, stream: BinaryIO, file: FoundFile, index: int, packing: Packing) -> Chunk:
    """A server that tells no length: the archive needs it first, so the bytes go to a file of their own."""
    writer = BlobWriter(packing.scratch / f"{packing.prefix}-{index}-whole")
    try:
        writer.write(start)
        for data in pieces(stream):
            writer.write(data)
        blob = writer.finish()
        with blob.path.open("rb") as whole:
            measured = FoundFile(Found(file.location, blob.size), file.path)
            return _large_file(beginning(whole, MAX_INLINE_INPUT_BYTES), whole, measured, index, packing)
    finally:
        writer.abandon()


def unreadable(index: int, file: FoundFile, error: InputError) -> Chunk:
    """The chunk of a file that was there when the run began."""
    fault = Fault(kind=FaultKind.IO_ERROR, message=error.cause, remedy=error.remedy)
    return Chunk(index=index, chunk_id=chunk_id(index, b""), path=file.path, fault=fault)
