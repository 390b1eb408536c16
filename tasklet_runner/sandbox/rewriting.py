"""Makes the state of a module with `step` reachable from outside, or says why a snapshot would miss some of it.

A snapshot holds linear memory and the values of mutable globals. Compilers keep such globals to themselves (the stack
pointer of LLVM is one), so each gets an export of ours, appended to the module's own; nothing else is changed, and no
index moves. What else a module can change between two steps is refused: a snapshot that misses it would be restored to
something that never was.
"""

from dataclasses import dataclass

from tasklet_runner.sandbox.binary import (
    Export,
    ExternKind,
    FunctionType,
    GlobalType,
    Layout,
    Reader,
    Section,
    SectionId,
    function_bodies,
    read_layout,
    sections,
    unsigned_leb,
)
from tasklet_runner.sandbox.checking import STEP
from tasklet_runner.sandbox.instructions import find_changer
from tasklet_runner.wire.faults import Fault, FaultKind

MEMORY_EXPORT = "leasegrid:memory"
"""The name under which the module's memory is exported besides."""

GLOBAL_EXPORT = "leasegrid:global:"
"""Before the index of a global, the name under which it is exported besides."""

_STEP_TYPE = FunctionType(b"", b"\x7f")
_VALUE_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128"}
_REFERENCES = {0x70: "funcref", 0x6F: "externref"}


@dataclass(frozen=True)
class Refusal:
    """Why snapshots of a module cannot be whole, and what to do."""

    problem: str
    remedy: str

    def fault(self) -> Fault:
        """The same for whoever asked for snapshots."""
        return Fault(
            kind=FaultKind.UNSUPPORTED,
            message=f"the module exports `{STEP}` and spec.tasklet.durable asks for snapshots, but {self.problem}",
            remedy=self.remedy,
        )


def exports_step(layout: Layout) -> bool:
    """True when the module exports a function `step` without parameters that returns one i32."""
    step = layout.export(STEP, ExternKind.FUNCTION)
    return step is not None and layout.function_type(step.index) == _STEP_TYPE


def expose_state(module: bytes) -> bytes | Refusal:
    """The module with memory and all mutable globals exported besides; the same bytes when it exports no `step`.

    `module` is valid for the sandbox's engine.

    Raises:
        MalformedError: it is not.
    """
    layout = read_layout(module)
    if not exports_step(layout):
        return module
    return _refusal(module, layout) or _with_exports(module, _additions(layout))


def _refusal(module: bytes, layout: Layout) -> Refusal | None:
    return _imported_state(layout) or _reference_global(layout) or _reserved_name(layout) or _changed_tables(module)


def _imported_state(layout: Layout) -> Refusal | None:
    for item in layout.imports:
        mutable = item.global_type is not None and item.global_type.mutable
        if mutable or item.kind in (ExternKind.MEMORY, ExternKind.TABLE):
            what = "mutable global" if mutable else item.kind.name.lower()
            return Refusal(
                f"it imports the {what} `{item.module}.{item.name}`, whose state is not its own",
                "build it so that it defines its own memory, tables and globals",
            )
    return None


def _reference_global(layout: Layout) -> Refusal | None:
    for index, found in _mutable_globals(layout):
        if found.value not in _VALUE_TYPES:
            kind = _REFERENCES.get(found.value, "reference")
            return Refusal(
                f"{_global_name(layout, index)} is a mutable {kind}, which has no meaning outside of its instance",
                "keep an index into a table in place of the reference",
            )
    return None


def _reserved_name(layout: Layout) -> Refusal | None:
    taken = next((item.name for item in layout.exports if item.name.startswith("leasegrid:")), None)
    if taken is None:
        return None
    return Refusal(f"its export `{taken}` has a name that is reserved for snapshots", "give the export another name")


def _changed_tables(module: bytes) -> Refusal | None:
    for number, (start, end) in enumerate(function_bodies(module)):
        found = find_changer(module, start, end)
        if found is None:
            continue
        where = f"defined function {number}, at byte {found.position:#x}"
        if not found.name:
            return Refusal(
                f"{where}, has the instruction {module[found.position : found.position + 3].hex()}, "
                "of which LeaseGrid does not know what it changes",
                "build it for the features that every WebAssembly engine has",
            )
        part = "passive data segments" if found.name == "data.drop" else "a table"
        return Refusal(
            f"{where}, changes {part} (`{found.name}`), which a snapshot does not hold",
            "build it without growable tables and bulk initialisation of them",
        )
    return None


def _additions(layout: Layout) -> list[Export]:
    memory = [Export(MEMORY_EXPORT, ExternKind.MEMORY, 0)] if layout.memories else []
    names = [Export(f"{GLOBAL_EXPORT}{index}", ExternKind.GLOBAL, index) for index, _ in _mutable_globals(layout)]
    return memory + names


def _mutable_globals(layout: Layout) -> list[tuple[int, GlobalType]]:
    first = len(layout.imported(ExternKind.GLOBAL))
    return [(first + number, found) for number, found in enumerate(layout.globals) if found.mutable]


def _global_name(layout: Layout, index: int) -> str:
    exported = next((item for item in layout.exports if (item.kind, item.index) == (ExternKind.GLOBAL, index)), None)
    return f"global {index} (exported as `{exported.name}`)" if exported else f"global {index}"


def _with_exports(module: bytes, additions: list[Export]) -> bytes:
    # A module that exports `step` has a section of exports.
    section = next(found for found in sections(module) if found.number == SectionId.EXPORT)
    contents = _appended(module, section, additions)
    head = _before(module, section)
    return b"".join(
        (module[:head], bytes([SectionId.EXPORT]), unsigned_leb(len(contents)), contents, module[section.end :])
    )


def _before(module: bytes, section: Section) -> int:
    """Where the section's id stands: what is before it ends there."""
    end = 8
    for found in sections(module):
        if found == section:
            return end
        end = found.end
    return end


def _appended(module: bytes, section: Section, additions: list[Export]) -> bytes:
    reader = Reader.of(module, section)
    count = reader.unsigned()
    own = module[reader.position : section.end]
    return unsigned_leb(count + len(additions)) + own + b"".join(map(_encoded, additions))


def _encoded(export: Export) -> bytes:
    name = export.name.encode()
    return unsigned_leb(len(name)) + name + bytes([export.kind]) + unsigned_leb(export.index)
