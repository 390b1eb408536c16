"""Wheels for the Python that runs tasklets: judged by name and content, unpacked into one tree.

Format: binary distributions as PyPA's specifications have them (file name, `.dist-info/WHEEL`, `.data` directories,
`Requires-Python`).
"""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import IO

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from tasklet_runner.wire.errors import InputError

PYTHON = "3.12.0"
"""The version of the interpreter: CPython for WASI (`wire.programs.DEFAULT_PYTHON_RUNTIME`)."""

_RUNS = {"py3", "py312", "cp312", *(f"py3{minor}" for minor in range(12))}
"""Pure Python for an older 3.x runs on a newer one, as pip has it."""

_NATIVE = (".so", ".pyd", ".dll", ".dylib", ".a", ".o")
_MAX_BYTES = 512 * 1024 * 1024
_MAX_FILES = 50_000
_REMEDY = "name a pure-Python wheel (…-none-any.whl) that runs on Python 3.12: the sandbox loads no native code"


@dataclass(frozen=True)
class WheelFile:
    """One file of a wheel: its path below the tree, its bytes, and where they are read."""

    path: str
    size: int
    archive: zipfile.ZipFile
    member: zipfile.ZipInfo

    def open(self) -> IO[bytes]:
        """Its bytes; their CRC is checked at the end."""
        return self.archive.open(self.member)


def check_name(name: str) -> None:
    """Raises InputError for a file name that no wheel has, or that says native code or another Python."""
    try:
        *_, tags = parse_wheel_filename(name)
    except InvalidWheelFilename as error:
        raise InputError(f"{name} is no wheel: {error}", remedy=_REMEDY) from error
    if not any(_is_pure(tag) for tag in tags):
        said = ", ".join(sorted(str(tag) for tag in tags))
        raise InputError(f"the wheel {name} is for {said}, and tasklets run on py3-none-any", remedy=_REMEDY)


def _is_pure(tag: Tag) -> bool:
    return tag.abi == "none" and tag.platform == "any" and tag.interpreter in _RUNS


class WheelTree:
    """The files of several wheels as one tree, sorted. Use as a context manager: it holds the archives open."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files: dict[str, tuple[str, WheelFile]] = {}
        self._bytes = 0

    def __enter__(self) -> "WheelTree":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, name: str, path: Path) -> None:
        """Take the wheel of that file name in. Raises InputError when it is none, or clashes with another."""
        check_name(name)
        try:
            archive = self._stack.enter_context(zipfile.ZipFile(path))
            _check_metadata(name, archive)
            for member in archive.infolist():
                self._take(name, archive, member)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"the wheel {name} cannot be unpacked: {error}", remedy="fetch or build it anew"
            ) from error

    def files(self) -> Iterator[WheelFile]:
        """All files, sorted by path."""
        for path in sorted(self._files):
            yield self._files[path][1]

    def _take(self, name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        path = _installed(member.filename)
        if member.is_dir() or path is None:
            return
        _check_member(name, path, member)
        self._bytes += member.file_size
        if self._bytes > _MAX_BYTES or len(self._files) >= _MAX_FILES:
            raise InputError(
                f"with {name} the wheels hold more than {_MAX_BYTES} bytes or {_MAX_FILES} files",
                remedy="name fewer wheels",
            )
        other, known = self._files.get(path, ("", None))
        if known is not None and (known.size, known.member.CRC) != (member.file_size, member.CRC):
            raise InputError(f"the wheels {other} and {name} both have {path}", remedy="name one of them")
        self._files[path] = (name, WheelFile(path, member.file_size, archive, member))


def _installed(path: str) -> str | None:
    """Where pip would put a file below site-packages; None for scripts, headers and data."""
    first, _, rest = path.partition("/")
    if not first.endswith(".data"):
        return path
    kind, _, inner = rest.partition("/")
    return inner if kind in {"purelib", "platlib"} and inner else None


def _check_member(name: str, path: str, member: zipfile.ZipInfo) -> None:
    if "\\" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise InputError(f"the wheel {name} has a file {path!r}, which leads out of it", remedy="build it anew")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"the wheel {name} has a link {path!r}", remedy="build it anew")
    if path.endswith(_NATIVE):
        raise InputError(f"the wheel {name} has native code: {path}", remedy=_REMEDY)


def _check_metadata(name: str, archive: zipfile.ZipFile) -> None:
    described = [member for member in archive.namelist() if member.endswith(".dist-info/METADATA")]
    if len(described) != 1:
        raise InputError(f"the wheel {name} has {len(described)} files .dist-info/METADATA", remedy="build it anew")
    metadata = HeaderParser().parsestr(archive.read(described[0]).decode(errors="replace"))
    wanted = metadata.get("Requires-Python")
    try:
        if wanted and not SpecifierSet(wanted).contains(PYTHON, prereleases=True):
            raise InputError(f"the wheel {name} wants Python {wanted}, and tasklets run on {PYTHON}", remedy=_REMEDY)
    except InvalidSpecifier as error:
        raise InputError(f"the wheel {name} has the Requires-Python {wanted!r}: {error}", remedy=_REMEDY) from error
