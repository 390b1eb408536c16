"""What chunks are called, and when a cached result is theirs."""

import hashlib

import msgspec

from tasklet_runner.wire.programs import Mode, Program

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
