"""Power cuts, played from a journal of all that a process changed below a directory.

A kill leaves every written byte to the kernel; a power cut takes what was not synced. From one recorded run every
instant can be cut, and for each many disks are possible. The model, after "All File Systems Are Not Created Equal"
(Pillai et al., OSDI 2014) for file systems with an ordered metadata journal (ext4, xfs):

- bytes and sizes of a file are safe from the next sync of the file on; of those that are not, any may be lost, each
  by itself, or in half; what is missing below a later write reads as zeros;
- names (made, renamed, removed) become safe in their order: up to the last one whose directory was synced, and any
  number of those that follow.
"""

import os
import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Identity = tuple[str, str | int]
"""Which file an entry means: one that stood there at the start, one that was made by an entry, or a directory."""

_ENTRY = struct.Struct("<IIIIQQQ")
_NAMES = frozenset("crudlm")


@dataclass(frozen=True)
class Entry:
    """One change. `operation`: c made, w written, t cut or grown to a size, s synced, r renamed, u removed, l linked,
    m and d a directory made and removed, a something said on stdout. Paths are absolute; `other` is the old name.
    """

    operation: str
    node: int
    offset: int
    size: int
    path: str
    other: str
    data: bytes


def read_journal(path: Path) -> list[Entry]:
    """All of it, in order."""
    raw, at, found = memoryview(path.read_bytes()), 0, []
    while at < len(raw):
        operation, length, other, _, node, offset, size = _ENTRY.unpack_from(raw, at)
        at += _ENTRY.size
        letter = chr(operation)
        ends = [at + length, at + length + other, at + length + other + (size if letter in "wa" else 0)]
        texts = os.fsdecode(bytes(raw[at : ends[0]])), os.fsdecode(bytes(raw[ends[0] : ends[1]]))
        found.append(Entry(letter, node, offset, size, *texts, bytes(raw[ends[1] : ends[2]])))
        at = ends[2]
    return found


@dataclass
class _File:
    data: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class Cut:
    """After how many entries the power goes, and by which seed it is chosen what is lost; None: all that may be."""

    after: int
    seed: int | None = None


class Recording:
    """A run below `root`, which held `start` before it (relative path -> node, bytes)."""

    def __init__(self, root: Path, start: Mapping[str, tuple[int, bytes]], entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._root = str(root)
        self._start = start
        self._identities = list(_identities(start, entries))

    def said(self, cut: Cut) -> list[str]:
        """The lines that were on stdout when the power went."""
        spoken = b"".join(entry.data for entry in self.entries[: cut.after] if entry.operation == "a")
        return spoken.decode().splitlines()

    def restore(self, cut: Cut, directory: Path) -> None:
        """Make the directory what the next start finds."""
        chance = None if cut.seed is None else random.Random(f"{cut.after} {cut.seed}")
        names: dict[str, _File | None] = {
            path: None if node < 0 else _File(bytearray(data)) for path, (node, data) in self._start.items()
        }
        objects: dict[Identity, _File] = {("start", path): file for path, file in names.items() if file is not None}
        safe_names, last_name = self._safe(cut.after)
        if chance is not None:
            last_name = chance.randint(last_name, cut.after)
        for number, entry in enumerate(self.entries[: cut.after]):
            if entry.operation in "wt" and (part := _part(number in safe_names, chance)):
                _write(objects.setdefault(self._identities[number], _File()), entry, part)
            elif entry.operation in _NAMES and number < last_name:
                self._name(names, objects, number)
        _lay_out(names, directory)

    def _name(self, names: dict[str, _File | None], objects: dict[Identity, _File], number: int) -> None:
        entry = self.entries[number]
        path, other = self._relative(entry.path), self._relative(entry.other)
        if entry.operation == "c":
            names[path] = objects.setdefault(self._identities[number], _File())
        elif entry.operation == "m":
            names[path] = None
        elif entry.operation in "ud":
            names.pop(path, None)
        elif other in names:
            for old in [name for name in names if name == other or name.startswith(f"{other}/")]:
                file = names[old] if entry.operation == "l" else names.pop(old)
                names[path + old.removeprefix(other)] = file

    def _relative(self, path: str) -> str:
        return path.removeprefix(self._root).removeprefix("/")

    def _safe(self, after: int) -> tuple[set[int], int]:
        """The writes that are safe by then, and up to where the names are."""
        synced: set[Identity] = set()
        safe: set[int] = set()
        names, directories = 0, set[str]()
        for number in range(after - 1, -1, -1):
            entry = self.entries[number]
            if entry.operation == "s":
                synced.add(self._identities[number])
                directories.add(entry.path)
            elif entry.operation in "wt" and self._identities[number] in synced:
                safe.add(number)
            elif entry.operation in _NAMES and entry.path.rpartition("/")[0] in directories:
                names = max(names, number + 1)
        return safe, names


def _part(safe: bool, chance: random.Random | None) -> float:
    """How much of a write is on the disk."""
    if safe:
        return 1.0
    return 0.0 if chance is None else chance.choice((0.0, 1.0, 1.0, 0.5))


def _write(file: _File, entry: Entry, part: float) -> None:
    if entry.operation == "t":
        del file.data[entry.size :]
        file.data.extend(bytes(entry.size - len(file.data)))
        return
    data = entry.data[: int(len(entry.data) * part)]
    end = entry.offset + len(data)
    file.data.extend(bytes(max(0, end - len(file.data))))
    file.data[entry.offset : end] = data


def _identities(start: Mapping[str, tuple[int, bytes]], entries: Sequence[Entry]) -> Iterator[Identity]:
    """Which file an entry means: numbers of nodes are used again."""
    known: dict[int, Identity] = {node: ("start", path) for path, (node, _) in start.items() if node >= 0}
    for number, entry in enumerate(entries):
        if entry.operation == "c":
            known[entry.node] = ("made", number)
        yield known.get(entry.node, ("node", entry.node))


def scan(root: Path) -> dict[str, tuple[int, bytes]]:
    """What stands below a directory now: relative path -> node (-1 for a directory), bytes."""
    return {
        str(path.relative_to(root)): (-1, b"") if path.is_dir() else (path.stat().st_ino, path.read_bytes())
        for path in sorted(root.rglob("*"))
    }


def _lay_out(names: Mapping[str, _File | None], directory: Path) -> None:
    directory.mkdir()
    linked: dict[int, Path] = {}
    for name in sorted(names):
        file, path = names[name], directory / name
        if file is None:
            path.mkdir(exist_ok=True)
        elif path.parent.is_dir():
            if id(file) in linked:
                path.hardlink_to(linked[id(file)])
            else:
                path.write_bytes(file.data)
                path.chmod(0o600)
                linked[id(file)] = path
