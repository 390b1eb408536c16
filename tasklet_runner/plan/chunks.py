"""What chunks are called, when a cached result is theirs, and how many indexes are written in little room."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import accumulate

import msgspec

from tasklet_runner.wire.programs import Mode, Program

INDEX_TEXT_BYTES = 16 * 1024
"""An index string in a status is cut at this length; the full list stands in the store."""

_HASH_DIGITS = 32
_INDEX_REFERENCES = ("$(CHUNK_INDEX)", "$(CHUNK_ID)")


def content_hash(data: bytes) -> str:
    """The first 128 bits of the SHA-256 of a chunk's input, as 32 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:_HASH_DIGITS]


def chunk_id(index: int, data: bytes) -> str:
    """`<index>-<hash>`: the same chunk has the same id in every run, and an edited input another."""
    return f"{index}-{content_hash(data)}"


def program_key(program: Program) -> str:
    """A SHA-256 (hex) over all of a program that its results depend on.

    Limits are left out: only successes are kept, and a larger limit does not change what has succeeded under a smaller
    one.
    """
    described = (
        (program.name, program.language, program.source, program.runtime, program.mode),
        (program.arguments, program.environment, program.mounts),
        (program.input_files, program.output_files, program.durable),
    )
    return hashlib.sha256(msgspec.msgpack.encode(described)).hexdigest()


def depends_on_index(program: Program) -> bool:
    """True when a chunk's index reaches the program, so that the same input elsewhere in the list is another piece of
    work.
    """
    if program.mode is Mode.LOOP:
        return True
    texts = (*program.arguments, *(value for _, value in program.environment))
    return any(reference in text for text in texts for reference in _INDEX_REFERENCES)


def result_key(program: str, input_hash: str, *, path: str = "", index: int | None = None) -> str:
    """The cache key (SHA-256, hex) of one result.

    `program` is its `program_key`, `input_hash` the `content_hash` of the input, `path` the chunk's path below its
    root, and `index` is given only when `depends_on_index` says so.
    """
    return hashlib.sha256(msgspec.msgpack.encode((program, input_hash, path, index))).hexdigest()


def compress_indexes(indexes: Iterable[int], limit: int = INDEX_TEXT_BYTES) -> str:
    """Indexes as `0-4,7,9-12`, the form of `completedIndexes` in batch/v1; sorted, each once.

    At most `limit` characters: what does not fit is counted at the end, as in `0-4,7 +120 more`.
    """
    ordered = sorted(set(indexes))
    runs = list(_runs(ordered))
    text = ",".join(_run_text(first, last) for first, last in runs)
    return text if len(text) <= limit else _cut(runs, len(ordered), limit)


def _cut(runs: list[tuple[int, int]], total: int, limit: int) -> str:
    room = limit - len(_rest_text(total))
    texts = [_run_text(first, last) for first, last in runs]
    fitting = sum(end <= room for end in accumulate(len(text) + 1 for text in texts))
    counted = sum(last - first + 1 for first, last in runs[:fitting])
    return (",".join(texts[:fitting]) + _rest_text(total - counted)).lstrip()


def _rest_text(count: int) -> str:
    return f" +{count} more"


def _run_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _runs(ordered: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for position in range(1, len(ordered) + 1):
        if position == len(ordered) or ordered[position] != ordered[position - 1] + 1:
            yield ordered[start], ordered[position - 1]
            start = position
