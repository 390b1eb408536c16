"""Inputs that the coordinator reads itself: items, counts, lines, files, and shards of them.

Everything here is a lazy iterator of chunks, so that a hundred thousand need no memory. Where reading blocks, the
engine runs it in a thread.
"""

import io
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from tasklet_runner.coordinator.archives import ArchiveWriter
from tasklet_runner.coordinator.chunk import MAX_INLINE_INPUT_BYTES, Chunk
from tasklet_runner.coordinator.sources import FileSystem, locate, opened, pieces, reading, verify
from tasklet_runner.plan.chunks import chunk_id
from tasklet_runner.plan.types import CountInput, FilesInput, ItemsInput, LinesInput
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.faults import Fault, FaultKind

OwnInput = ItemsInput | CountInput | LinesInput | FilesInput


@dataclass(frozen=True)
class FoundFile:
    """A file of the input: where it is, and its path below the root."""

    location: str
    path: str


@dataclass(frozen=True)
class Packing:
    """How inputs become chunks: `scratch` takes the archives, `prefix` makes their names unique, `files`: the tasklet
    has /in.
    """

    scratch: Path
    prefix: str
    files: bool = False

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


def lines(given: LinesInput, packing: Packing) -> Iterator[Chunk]:
    """A chunk per `per_chunk` lines. Raises InputError when the text cannot be read on."""
    with opened(given.source, "the lines of") as file:
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


def check_lines(given: LinesInput) -> None:
    """Raises InputError when the text cannot be opened or has another SHA-256."""
    verify(given.source, "the lines of")


def find_files(given: FilesInput) -> tuple[FileSystem, list[FoundFile]]:
    """The files that the globs name, each once, sorted by their path below the root. Raises InputError when there are
    none, when one is outside the root or may not be read.
    """
    system, root = locate(given.root, "the input's root")
    found: set[str] = set()
    for pattern in given.globs:
        found |= _matches(system, pattern)
    if not found:
        raise InputError(
            f"no file matches {', '.join(given.globs)}",
            remedy="correct the globs; they are relative to the YAML's directory",
        )
    files = [FoundFile(location, _below(location, root)) for location in found]
    return system, sorted(files, key=lambda file: file.path)


def _matches(system: FileSystem, pattern: str) -> set[str]:
    _, path = locate(pattern, "the glob")
    with reading(f"the glob {pattern}"):
        matches = system.glob(path, detail=True)
    files = {name for name, detail in matches.items() if detail.get("type") != "directory"}
    if "file" in _protocols(system):
        for name in files:
            if not os.access(name, os.R_OK):
                raise InputError(f"the input file {name} may not be read", remedy="give yourself the right to read it")
    return files


def _protocols(system: FileSystem) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _below(location: str, root: str) -> str:
    path = posixpath.relpath(location, root)
    if path == ".." or path.startswith("../"):
        raise InputError(
            f"the input file {location} is outside the root {root}", remedy="set files.root above all globs"
        )
    return path


def files(system: FileSystem, found: Iterable[FoundFile], packing: Packing) -> Iterator[Chunk]:
    """A chunk per file; one that cannot be read any more is a chunk with a fault."""
    for index, file in enumerate(found):
        yield _file_chunk(system, file, index, packing)


def _file_chunk(system: FileSystem, file: FoundFile, index: int, packing: Packing) -> Chunk:
    try:
        with system.open(file.location, "rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if size <= MAX_INLINE_INPUT_BYTES:
                return packing.chunk(index, stream.read(), file.path)
            return _large_file(cast("BinaryIO", stream), size, index, packing, file.path)
    except (OSError, ValueError) as error:
        return unreadable(index, file, error)


def _large_file(stream: BinaryIO, size: int, index: int, packing: Packing, path: str) -> Chunk:
    archive = packing.archive(index)
    try:
        for name in ("stdin", f"in/{path}") if packing.files else ("stdin",):
            stream.seek(0)
            archive.begin(name, size)
            for data in pieces(stream):
                archive.write(data)
        return packing.packed(index, archive, path)
    except (OSError, ValueError):
        archive.abandon()
        raise


def unreadable(index: int, file: FoundFile, error: Exception) -> Chunk:
    """The chunk of a file that was there when the run began."""
    fault = Fault(
        kind=FaultKind.IO_ERROR,
        message=f"the input file {file.location} cannot be read any more: {error}",
        remedy="leave the inputs alone while the job runs, and run it again",
    )
    return Chunk(index=index, chunk_id=chunk_id(index, b""), path=file.path, fault=fault)
