"""A tasklet's output divided into partitions: lines of its stdout by their key, or files of /out by their number.

A line's key is its bytes before the first TAB, the whole line where there is none; `plan.partition` says where it
goes. Lines keep their order, and each ends with a newline: the same output has the same parts, byte for byte.
"""

import errno
import hashlib
import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path

from tasklet_runner.plan.partition import number_of, partition
from tasklet_runner.sandbox.scratch import Scratch
from tasklet_runner.sandbox.trees import remove_tree
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Limits, Outcome, PartitionBy, Program, Task

Parts = tuple[tuple[int, int], ...]
"""Number and bytes of each partition that is not empty, by number."""

Collect = Callable[[Task, Limits, int], Outcome]
"""From a run that succeeded, its limits and the fuel it used to its outcome."""

_WINDOW_BYTES = 256 * 1024
"""Lines are divided by so much at a time: few enough for the processor's cache, which is what counts."""

_BUFFERED_BYTES = 8 * 1024 * 1024
"""Parts are written when so much is waiting for them: an output of this size opens each file once."""

_CACHED_KEYS = 128 * 1024
_CACHED_KEY_BYTES = 64
"""Partitions of so many keys, none longer than that, are remembered: most outputs repeat their keys."""

_PART_NAME = re.compile(r"part-(0|[1-9][0-9]{0,9})")


def part_name(number: int) -> str:
    """The name of a partition's file, and of its object."""
    return f"part-{number}"


def part_number(name: str) -> int:
    """The partition of that name, -1 for any other name: `part-7` and nothing like `part-07`."""
    found = _PART_NAME.fullmatch(name)
    return int(found[1]) if found else -1


def wants_output_directory(program: Program) -> bool:
    """Whether runs have an /out: a partitioned program has one for its parts alone."""
    return program.partition_by is PartitionBy.FILE if program.partitions else program.output_files


def collector(program: Program, scratch: Scratch) -> Collect:
    """How outputs of this program are collected: partitioned, or as they are."""
    return PartedOutputs(program, scratch).collect if program.partitions else scratch.collect


class PartedOutputs:
    """Collects outputs of a program with partitions: they are always held, as `<index>-<attempt>/part-<n>`."""

    def __init__(self, program: Program, scratch: Scratch) -> None:
        self._scratch = scratch
        self._partitions = program.partitions
        self._by_file = program.partition_by is PartitionBy.FILE
        self._directory = scratch.root / "parts"

    def collect(self, task: Task, limits: Limits, fuel_used: int) -> Outcome:
        """The outcome of a run that succeeded: its parts, or why there are none."""
        fault = self._scratch.excess(limits) or self._foreign()
        if fault is not None:
            return Outcome(fault=fault, fuel_used=fuel_used)
        remove_tree(self._directory)
        self._directory.mkdir(mode=0o700)
        try:
            parts = self._divide()
        except OSError as error:
            remove_tree(self._directory)
            if error.errno != errno.ENOSPC:
                raise
            return Outcome(fault=_no_room(self._scratch.stdout.size()), fuel_used=fuel_used)
        self._scratch.stdout.empty()  # its bytes stand in the parts, or are not wanted, and scratch is memory
        if parts:
            # Only now, and in one step: what is held is whole, whenever this process may be killed.
            self._scratch.hold_directory(task, self._directory)
        return Outcome(
            fuel_used=fuel_used,
            held_bytes=sum(size for _, size in parts),
            stderr=self._scratch.stderr_tail(),
            parts=parts,
        )

    def _divide(self) -> Parts:
        if self._by_file:
            return take_files(self._scratch.output_directory, self._directory)
        return divide_lines(self._scratch.stdout.path, self._directory, self._partitions)

    def _foreign(self) -> Fault | None:
        """The fault of an /out in which something else stands than parts."""
        if not self._by_file:
            return None
        found = foreign_entry(self._scratch.output_directory, self._partitions)
        if not found:
            return None
        last = self._partitions - 1
        return Fault(
            kind=FaultKind.UNSUPPORTED,
            message=f"the tasklet left {found} in /out, where only files part-0 to part-{last} may stand",
            remedy=f"with shuffle.by: File write /out/part-<n>, 0 <= n <= {last} without leading zeros, and nothing "
            "else; raise shuffle.partitions where there are too few",
            stderr=self._scratch.stderr_text(),
        )


def foreign_entry(directory: Path, partitions: int) -> str:
    """The first by name that is not the file of a partition, in words; empty when there is none."""
    foreign = []
    with os.scandir(directory) as found:
        for entry in found:
            if not 0 <= part_number(entry.name) < partitions:
                foreign.append((entry.name, ""))
            elif not entry.is_file(follow_symlinks=False):
                foreign.append((entry.name, ", which is no regular file,"))
    if not foreign:
        return ""
    name, addition = min(foreign)
    return f"{name[:200]!r}{addition}"


def take_files(directory: Path, destination: Path) -> Parts:
    """Move the files `part-<n>` that are not empty from one directory to the other, by renaming them."""
    with os.scandir(directory) as found:
        sizes = {part_number(entry.name): entry.stat(follow_symlinks=False).st_size for entry in found}
    parts = tuple(sorted((number, size) for number, size in sizes.items() if size))
    for number, _ in parts:
        os.rename(directory / part_name(number), destination / part_name(number))
    return parts


def divide_lines(source: Path, destination: Path, partitions: int) -> Parts:
    """Write each line of a file to the file of its key's partition; a last line without newline gets one.

    In flat memory, whatever the file's size and however long its lines are. Raises OSError.
    """
    writer = PartWriter(destination, partitions)
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return ()
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as text:
            _divide_text(text, size, writer)
    return writer.finish()


def _divide_text(text: mmap.mmap, size: int, writer: "PartWriter") -> None:
    start = 0
    while start < size:
        end = text.rfind(b"\n", start, start + _WINDOW_BYTES) + 1
        if end:
            writer.add_lines(text[start:end])
        elif size - start <= _WINDOW_BYTES:
            end = size
            writer.add_lines(text[start:end] + b"\n")
        else:
            end = text.find(b"\n", start) + 1 or size
            writer.add_long_line(text, start, end)
        start = end


class PartWriter:
    """Lines on their way into the files of `destination`."""

    def __init__(self, destination: Path, partitions: int) -> None:
        self._destination = destination
        self._partitions = partitions
        self._lines: list[list[bytes]] = [[] for _ in range(partitions)]
        self._appends = _Appends(self._lines)
        self._buffers: dict[int, list[bytes]] = {}
        self._buffered = 0
        self._sizes: dict[int, int] = {}

    def add_lines(self, text: bytes) -> None:
        """Whole lines, each with its newline."""
        lines = text.split(b"\n")
        lines.pop()
        appends = self._appends
        for line in lines:
            appends[line.partition(b"\t")[0]](line)
        appends.forget()
        for number, taken in enumerate(self._lines):
            if taken:
                taken.append(b"")
                self._buffer(number, b"\n".join(taken))
                taken.clear()

    def add_long_line(self, text: mmap.mmap, start: int, end: int) -> None:
        """One line that is too long to be copied."""
        last = text[end - 1 : end] == b"\n"
        tab = text.find(b"\t", start, end)
        with memoryview(text) as view, view[start : end - last if tab < 0 else tab] as key:
            number = number_of(hashlib.sha256(key).digest(), self._partitions)
        self._flush()
        with self._path(number).open("ab") as file, memoryview(text) as view, view[start:end] as line:
            file.write(line)
            if not last:
                file.write(b"\n")
        self._count(number, end - start + (not last))

    def finish(self) -> Parts:
        """Write what waits; number and bytes of each part."""
        self._flush()
        return tuple(sorted(self._sizes.items()))

    def _buffer(self, number: int, data: bytes) -> None:
        self._buffers.setdefault(number, []).append(data)
        self._count(number, len(data))
        self._buffered += len(data)
        if self._buffered >= _BUFFERED_BYTES:
            self._flush()

    def _count(self, number: int, count: int) -> None:
        self._sizes[number] = self._sizes.get(number, 0) + count

    def _flush(self) -> None:
        # Opened and closed each time: a process may have fewer files open than there are partitions.
        for number, pieces in self._buffers.items():
            with self._path(number).open("ab", buffering=0) as file:
                _write_all(file.fileno(), b"".join(pieces))
        self._buffers.clear()
        self._buffered = 0

    def _path(self, number: int) -> Path:
        return self._destination / part_name(number)


class _Appends(dict[bytes, Callable[[bytes], None]]):
    """By key: the `append` of its partition's lines. Looked up once per line, so it is a dictionary and no call."""

    def __init__(self, lines: list[list[bytes]]) -> None:
        self._partitions = len(lines)
        # One object per partition and not per key, which doubles the speed: they stay in the processor's cache.
        self._of_partition = [taken.append for taken in lines]

    def __missing__(self, key: bytes) -> Callable[[bytes], None]:
        append = self._of_partition[partition(key, self._partitions)]
        if len(key) <= _CACHED_KEY_BYTES:
            self[key] = append
        return append

    def forget(self) -> None:
        """Begin anew when there are too many."""
        if len(self) > _CACHED_KEYS:
            self.clear()


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _no_room(size: int) -> Fault:
    return Fault(
        kind=FaultKind.CAPACITY_EXCEEDED,
        message=f"the tasklet's stdout of {size:,} bytes and its partitions do not fit into scratch together",
        remedy="give members more memory (resources.memory of the pool), or give each chunk less to do",
    )
