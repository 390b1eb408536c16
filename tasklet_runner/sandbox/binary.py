"""Reads WebAssembly binaries, as far as is needed to say where a module keeps its state.

Source: WebAssembly Core Specification 3.0, chapter 5 (binary format): integers are LEB128 (5.2.2), a module is a magic,
a version and sections of `id size contents` (5.5). Only what the sandbox's engine accepts is known here: no
multiple memories, shared memory, memory64, GC types, exceptions. The bytes are not validated: whoever gives bytes that
an engine would refuse gets a MalformedError or an answer without meaning, never an endless loop.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, TypeVar

from tasklet_runner.sandbox.instructions import end_of_expression
from tasklet_runner.wire.errors import LeaseGridError

PREAMBLE = b"\0asm\x01\0\0\0"

_FUNCTION_FORM = 0x60
_HAS_MAXIMUM = 0x01
_MAX_LEB_BYTES = 10

_Item = TypeVar("_Item")


class MalformedError(LeaseGridError):
    """The bytes are no module of the binary format that is known here."""


class SectionId(IntEnum):
    """The sections that are read here, by their id."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    CODE = 10


class ExternKind(IntEnum):
    """What is imported or exported."""

    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3
    TAG = 4


@dataclass(frozen=True)
class Section:
    """One section: its contents are `module[start:end]`."""

    number: int
    start: int
    end: int


@dataclass(frozen=True)
class FunctionType:
    """Value types of the parameters and results, each as its byte."""

    parameters: bytes
    results: bytes


@dataclass(frozen=True)
class GlobalType:
    """The type of a global: its value type's byte, and whether code may change it."""

    value: int
    mutable: bool


@dataclass(frozen=True)
class Import:
    """One import; `type_index` of a function, `global_type` of a global."""

    module: str
    name: str
    kind: ExternKind
    type_index: int = -1
    global_type: GlobalType | None = None


@dataclass(frozen=True)
class Export:
    """One export: a name for an index of the index space of its kind."""

    name: str
    kind: ExternKind
    index: int


@dataclass
class Reader:
    """A position in a module's bytes, up to `end`."""

    data: bytes
    position: int
    end: int

    @classmethod
    def of(cls, data: bytes, section: Section) -> Self:
        """At the beginning of a section's contents."""
        return cls(data, section.start, section.end)

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises MalformedError when there are fewer."""
        if count > self.end - self.position:
            raise MalformedError(f"the module ends or a section ends too early, at byte {self.end}")
        self.position += count
        return self.data[self.position - count : self.position]

    def unsigned(self) -> int:
        """An unsigned LEB128 integer."""
        value = 0
        for place in range(_MAX_LEB_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise MalformedError(f"an integer without an end before byte {self.position}")

    def name(self) -> str:
        """A length and so many bytes of UTF-8."""
        return self.take(self.unsigned()).decode("utf-8", errors="replace")

    def vector(self, item: Callable[[], _Item]) -> tuple[_Item, ...]:
        """A count and so many items."""
        return tuple(item() for _ in range(self.unsigned()))

    def global_type(self) -> GlobalType:
        """A value type and its mutability."""
        return GlobalType(self.byte(), bool(self.byte()))

    def skip_limits(self) -> None:
        """The limits of a memory or a table."""
        has_maximum = self.byte() & _HAS_MAXIMUM
        self.unsigned()
        if has_maximum:
            self.unsigned()


def unsigned_leb(value: int) -> bytes:
    """A number >= 0 as LEB128, in as few bytes as there can be."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def sections(module: bytes) -> Iterator[Section]:
    """The sections in order. Raises MalformedError for bytes that are none."""
    if not module.startswith(PREAMBLE):
        raise MalformedError("the module does not begin as one of version 1 does")
    reader = Reader(module, len(PREAMBLE), len(module))
    while reader.position < reader.end:
        number, size = reader.byte(), reader.unsigned()
        start = reader.position
        reader.take(size)
        yield Section(number, start, reader.position)


@dataclass(frozen=True)
class Layout:
    """What a module declares: enough to find its state. `globals` are those that it defines itself."""

    types: tuple[FunctionType, ...] = ()
    imports: tuple[Import, ...] = ()
    functions: tuple[int, ...] = ()
    memories: int = 0
    globals: tuple[GlobalType, ...] = ()
    exports: tuple[Export, ...] = ()

    def imported(self, kind: ExternKind) -> tuple[Import, ...]:
        """The imports of a kind, in the order of their indexes."""
        return tuple(item for item in self.imports if item.kind is kind)

    def export(self, name: str, kind: ExternKind) -> Export | None:
        """The export of that name and kind, if there is one."""
        return next((item for item in self.exports if item.name == name and item.kind is kind), None)

    def function_type(self, index: int) -> FunctionType:
        """The type of a function by its index. Raises MalformedError for an index that there is not."""
        imported = [item.type_index for item in self.imported(ExternKind.FUNCTION)]
        try:
            return self.types[[*imported, *self.functions][index]]
        except IndexError as error:
            raise MalformedError(f"there is no function {index}") from error


def read_layout(module: bytes) -> Layout:
    """Everything but code and data. Raises MalformedError."""
    found = {section.number: Reader.of(module, section) for section in sections(module)}

    def items(number: SectionId, item: Callable[[Reader], _Item]) -> tuple[_Item, ...]:
        reader = found.get(number)
        return reader.vector(lambda: item(reader)) if reader else ()

    memories = found.get(SectionId.MEMORY)
    return Layout(
        types=items(SectionId.TYPE, _function_type),
        imports=items(SectionId.IMPORT, _import),
        functions=items(SectionId.FUNCTION, Reader.unsigned),
        memories=memories.unsigned() if memories else 0,
        globals=items(SectionId.GLOBAL, _global),
        exports=items(SectionId.EXPORT, _export),
    )


def function_bodies(module: bytes) -> Iterator[tuple[int, int]]:
    """Where the instructions of each function that the module defines begin and end. Raises MalformedError."""
    for section in sections(module):
        if section.number == SectionId.CODE:
            reader = Reader.of(module, section)
            for _ in range(reader.unsigned()):
                size = reader.unsigned()
                end = reader.position + size
                _skip_locals(reader)
                if not reader.position <= end <= section.end:
                    raise MalformedError(f"a function does not fit into the code before byte {section.end}")
                yield reader.position, end
                reader.position = end


def _skip_locals(reader: Reader) -> None:
    for _ in range(reader.unsigned()):
        reader.unsigned()
        reader.byte()


def _function_type(reader: Reader) -> FunctionType:
    if reader.byte() != _FUNCTION_FORM:
        raise MalformedError(f"a type that is no function's before byte {reader.position}")
    return FunctionType(reader.take(reader.unsigned()), reader.take(reader.unsigned()))


def _import(reader: Reader) -> Import:
    module, name, kind = reader.name(), reader.name(), _kind(reader)
    if kind is ExternKind.GLOBAL:
        return Import(module, name, kind, global_type=reader.global_type())
    if kind is ExternKind.FUNCTION:
        return Import(module, name, kind, type_index=reader.unsigned())
    if kind is ExternKind.TAG:
        reader.byte()
        reader.unsigned()
        return Import(module, name, kind)
    if kind is ExternKind.TABLE:
        reader.byte()
    reader.skip_limits()
    return Import(module, name, kind)


def _global(reader: Reader) -> GlobalType:
    found = reader.global_type()
    end = end_of_expression(reader.data, reader.position, reader.end)
    if end < 0:
        raise MalformedError(f"the first value of a global has no end, from byte {reader.position} on")
    reader.position = end
    return found


def _export(reader: Reader) -> Export:
    return Export(reader.name(), _kind(reader), reader.unsigned())


def _kind(reader: Reader) -> ExternKind:
    number = reader.byte()
    try:
        return ExternKind(number)
    except ValueError as error:
        raise MalformedError(f"an import or export of unknown kind {number} before byte {reader.position}") from error
