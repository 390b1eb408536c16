"""Groups of inputs by a stable hash: the same grouping on every machine and in every version (`plan.partition`)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tasklet_runner.coordinator.chunk import MAX_INLINE_INPUT_BYTES, Chunk
from tasklet_runner.coordinator.inputs import LINES, FoundFile, Packing, unreadable
from tasklet_runner.coordinator.sources import opened, pieces
from tasklet_runner.data.failures import reading
from tasklet_runner.plan.partition import partition
from tasklet_runner.plan.types import Item, ItemsInput, LinesInput, Requirements
from tasklet_runner.wire.errors import InputError

_OPEN_FILES = 256
"""So many shard files are open at once; with more shards, each line opens its own."""


def item_shards(given: ItemsInput, packing: Packing) -> Iterator[Chunk]:
    """A chunk per shard of items, one item a line; it requires what the most demanding of its items does."""
    groups: list[list[Item]] = [[] for _ in range(given.shards)]
    for item in given.items:
        groups[partition(item.value.encode(), given.shards)].append(item)
    for index, group in enumerate(groups):
        chunk = packing.chunk(index, "".join(f"{item.value}\n" for item in group).encode())
        chunk.requirements = most_demanding(item.requirements for item in group)
        yield chunk


def most_demanding(requirements: Iterable[Requirements | None]) -> Requirements | None:
    """Requirements that satisfy all of these; None when there are none."""
    given = [requirement for requirement in requirements if requirement is not None]
    if not given:
        return None
    features = {feature for requirement in given for feature in requirement.cpu_features}
    return Requirements(
        max(requirement.slots for requirement in given),
        max(requirement.memory for requirement in given),
        tuple(sorted(features)),
    )


def line_shards(given: LinesInput, packing: Packing, mark: str = "") -> Iterator[Chunk]:
    """A chunk per shard of lines, in the text's order. The text is read once and spread over files, so memory stays
    flat.
    """
    paths = [packing.scratch / f"{packing.prefix}-shard-{index}" for index in range(given.shards)]
    _spread(given, paths, packing, mark)
    for index, path in enumerate(paths):
        yield _shard_chunk(path, index, packing)
        path.unlink()


def _spread(given: LinesInput, paths: list[Path], packing: Packing, mark: str) -> None:
    with ExitStack() as stack, opened(given.source, LINES, packing.storages, mark) as file:
        for path in paths:
            path.touch()
        shared = [stack.enter_context(path.open("ab")) for path in paths[:_OPEN_FILES]]
        for line in file:
            number = partition(line.rstrip(b"\r\n"), given.shards)
            if number < len(shared):
                shared[number].write(line)
            else:
                with paths[number].open("ab") as one:
                    one.write(line)


def _shard_chunk(path: Path, index: int, packing: Packing) -> Chunk:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= MAX_INLINE_INPUT_BYTES:
            return packing.chunk(index, file.read())
        archive = packing.archive(index)
        archive.begin("stdin", size)
        for data in pieces(file):
            archive.write(data)
    return packing.packed(index, archive)


def file_shards(found: list[FoundFile], shards: int, packing: Packing) -> Iterator[Chunk]:
    """A chunk per shard of files: all of them one after another on stdin, and each at its path in /in."""
    groups: list[list[FoundFile]] = [[] for _ in range(shards)]
    for file in found:
        groups[partition(file.path.encode(), shards)].append(file)
    for index, group in enumerate(groups):
        yield _group_chunk(group, index, packing)


def _group_chunk(group: list[FoundFile], index: int, packing: Packing) -> Chunk:
    archive = packing.archive(index)
    try:
        start = archive.begin("stdin", sum(file.found.size for file in group))
        for file in group:
            try:
                _append(archive.write, file, packing)
            except InputError as error:
                archive.abandon()
                return unreadable(index, file, error)
        for file in group if packing.files else ():
            archive.again(f"in/{file.path}", start, file.found.size)
            start += file.found.size
        return packing.packed(index, archive)
    except BaseException:
        archive.abandon()
        raise


def _append(write: Callable[[bytes], None], file: FoundFile, packing: Packing) -> None:
    left = file.found.size
    with reading(f"the input file {file.location}"):
        if left < 0:
            raise ValueError("its server does not tell its size, which shards of files need")
        with packing.storages.of(file.location).open(file.found) as stream:
            for data in pieces(stream):
                left -= len(data)
                write(data)
        if left:
            raise ValueError(f"{-left} bytes more than listed")
