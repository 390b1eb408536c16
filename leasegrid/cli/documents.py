"""The files of a command line, read whole before anything is judged."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.wire.errors import InputError

STDIN = "-"
MAX_BYTES = 64 * 1024 * 1024
"""YAML of this size describes a million items; more is a mistake, and would only be noticed by a full memory."""


@dataclass(frozen=True)
class Document:
    """One file: how messages name it, the absolute directory against which its paths are read, and its text."""

    origin: str
    base: str
    text: str


def read_documents(files: tuple[str, ...]) -> list[Document]:
    """All files in order, `-` being stdin; raises InputError for the first that cannot be read."""
    if files.count(STDIN) > 1:
        raise InputError("'-' (stdin) is named twice, but can be read only once", remedy="name it once")
    return [_from_stdin() if name == STDIN else _from_file(Path(name)) for name in files]


def _from_stdin() -> Document:
    return Document("stdin", os.getcwd(), _decoded("stdin", sys.stdin.buffer.read(MAX_BYTES + 1)))


def _from_file(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file", remedy="check the path; - reads stdin") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a directory", remedy="name the YAML file in it") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", remedy="check its rights") from error
    return Document(str(path), str(path.absolute().parent), _decoded(str(path), content))


def _decoded(origin: str, content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise InputError(
            f"{origin} is larger than {MAX_BYTES // 1024**2} MiB",
            remedy="give many inputs by spec.input.lines or files",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{origin} is no UTF-8 text (line {line})", remedy="save it as UTF-8") from error
