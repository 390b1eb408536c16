"""Modules are read and rewritten as the core specification says, and what a snapshot would miss is refused."""

from pathlib import Path

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from tasklet_runner.sandbox.binary import (
    ExternKind,
    MalformedError,
    Reader,
    SectionId,
    function_bodies,
    read_layout,
    sections,
    unsigned_leb,
)
from tasklet_runner.sandbox.instructions import end_of_expression, find_changer
from tasklet_runner.sandbox.rewriting import GLOBAL_EXPORT, MEMORY_EXPORT, expose_state
from tasklet_runner.wire.faults import FaultKind
from tests.unit.sandbox import step_modules
from tests.unit.sandbox.stepping_rig import engine, native, refusal

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
COMMITTED = sorted(EXAMPLES.glob("*/*.wasm"))

numbers = st.integers(0, 2**32 - 1).map(unsigned_leb)
padded = st.integers(0, 127).map(lambda value: bytes([value | 0x80, 0x80, 0x00]))  # as linkers write them
leb = numbers | padded


Bytes = st.SearchStrategy[bytes]


def _instruction(opcodes: list[int], *immediates: Bytes, prefix: int = -1) -> Bytes:
    head = b"" if prefix < 0 else bytes([prefix])
    codes = st.sampled_from([head + unsigned_leb(code) if prefix >= 0 else bytes([code]) for code in opcodes])
    return st.tuples(codes, *immediates).map(b"".join)


def _bytes(count: int) -> Bytes:
    return st.binary(min_size=count, max_size=count)


HARMLESS = st.one_of(
    _instruction([0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B, 0xD1, *range(0x45, 0xC5)]),
    _instruction([0x02, 0x03, 0x04], st.sampled_from([b"\x40", b"\x7f", b"\x7b", b"\x05", b"\x80\x01"])),
    _instruction([0x0C, 0x0D, 0x10, 0x12, *range(0x20, 0x26), 0xD2], leb),
    _instruction([0x11, 0x13], leb, leb),
    _instruction([0x0E], st.lists(leb, max_size=9).map(lambda them: unsigned_leb(len(them)) + b"".join(them)), leb),
    _instruction([0x1C], st.sampled_from([b"\x01\x7f", b"\x01\x70"])),
    _instruction(list(range(0x28, 0x3F)), leb, leb),
    _instruction([0x3F, 0x40], st.just(b"\0")),
    _instruction([0x41, 0x42], st.sampled_from([b"\x7f", b"\x80\x80\x04", b"\xff\xff\xff\xff\x0f"])),
    _instruction([0x43], _bytes(4)),
    _instruction([0x44], _bytes(8)),
    _instruction([0xD0], st.sampled_from([b"\x70", b"\x6f"])),
    _instruction(list(range(8)), prefix=0xFC),
    _instruction([8, 10], leb, leb, prefix=0xFC),
    _instruction([11, 13, 16], leb, prefix=0xFC),
    _instruction([*range(12), 92, 93], leb, leb, prefix=0xFD),
    _instruction([12, 13], _bytes(16), prefix=0xFD),
    _instruction(list(range(21, 35)), _bytes(1), prefix=0xFD),
    _instruction(list(range(84, 92)), leb, leb, _bytes(1), prefix=0xFD),
    _instruction([*range(14, 21), *range(35, 84), *range(94, 276)], prefix=0xFD),
)
CHANGERS = {
    "table.set": st.tuples(st.just(b"\x26"), leb).map(b"".join),
    "data.drop": _instruction([9], leb, prefix=0xFC),
    "table.init": _instruction([12], leb, leb, prefix=0xFC),
    "table.copy": _instruction([14], leb, leb, prefix=0xFC),
    "table.grow": _instruction([15], leb, prefix=0xFC),
    "table.fill": _instruction([17], leb, prefix=0xFC),
}


@given(st.integers(0, 2**64 - 1), st.binary(max_size=5))
def test_an_unsigned_number_is_read_as_it_was_written(value: int, behind: bytes) -> None:
    data = unsigned_leb(value) + behind
    reader = Reader(data, 0, len(data))
    assert (reader.unsigned(), data[reader.position :]) == (value, behind)


@settings(max_examples=300)
@given(st.lists(HARMLESS, max_size=60), st.binary(max_size=8))
def test_instructions_that_change_no_table_are_passed_over_to_their_end(body: list[bytes], behind: bytes) -> None:
    code = b"".join(body)
    assert find_changer(code + behind, 0, len(code)) is None


@settings(max_examples=200)
@given(st.lists(HARMLESS, max_size=30), st.data())
def test_one_that_changes_a_table_is_found_where_it_stands(body: list[bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(CHANGERS)))
    before, changer = b"".join(body), data.draw(CHANGERS[name])
    after = b"".join(data.draw(st.lists(HARMLESS, max_size=9)))
    code = before + changer + after
    found = find_changer(code, 0, len(code))
    assert found is not None
    assert (found.name, found.position) == (name, len(before))


@pytest.mark.unhappy("code that ends within an instruction, or has an unknown one")
@pytest.mark.parametrize("text", ["41", "0e0200", "440000", "fd0c00", "fe0000", "fc9901", "d5"])
def test_code_that_is_not_known_to_its_end_is_never_taken_for_harmless(text: str) -> None:
    code = bytes.fromhex(text)
    found = find_changer(b"\x01" + code, 0, 1 + len(code))
    assert found is not None
    assert (found.name, found.position) == ("", 1)


def test_the_end_of_a_first_value_is_found_behind_constants_that_look_like_ends() -> None:
    code = b"\x44" + b"\x0b" * 8 + b"\x0b" + b"\x41\x00\x0b"
    assert end_of_expression(code, 0, len(code)) == 10
    assert end_of_expression(code, 0, 9) == -1


@pytest.mark.parametrize("path", COMMITTED, ids=[path.name for path in COMMITTED])
def test_modules_of_a_real_compiler_are_read_to_the_end(path: Path) -> None:
    module = path.read_bytes()
    layout = read_layout(module)
    compiled = wasmtime.Module(engine(), module)
    assert [item.name for item in layout.exports] == [item.name for item in compiled.exports]
    assert [item.name for item in layout.imports] == [item.name for item in compiled.imports]
    bodies = list(function_bodies(module))
    assert len(bodies) == len(layout.functions)
    assert all(find_changer(module, start, end) is None for start, end in bodies)


def test_a_module_without_step_stays_as_it_is() -> None:
    module = (EXAMPLES / "pop-up-supercomputer" / "tile.wasm").read_bytes()
    assert expose_state(module) is module


def test_only_exports_are_added_and_they_name_memory_and_every_mutable_global() -> None:
    module = bytes(wasmtime.wat2wasm(step_modules.HIDDEN))
    exposed = expose_state(module)
    assert isinstance(exposed, bytes)
    before, after = (
        {found.number: data[found.start : found.end] for found in sections(data)} for data in (module, exposed)
    )
    assert {number for number in after if after[number] != before[number]} == {SectionId.EXPORT}
    added = read_layout(exposed).exports[len(read_layout(module).exports) :]
    assert [(item.name, item.kind, item.index) for item in added] == [
        (MEMORY_EXPORT, ExternKind.MEMORY, 0),
        *((f"{GLOBAL_EXPORT}{index}", ExternKind.GLOBAL, index) for index in range(1, 7)),
    ]
    wasmtime.Module.validate(engine(), exposed)


@pytest.mark.unhappy("a module that is cut off anywhere")
def test_a_module_that_is_cut_off_or_flipped_is_malformed_and_never_something_worse() -> None:
    module = bytes(wasmtime.wat2wasm(step_modules.GROWING))
    broken = [module[:length] for length in range(len(module))]
    broken += [module[:at] + bytes([module[at] ^ 0xFF]) + module[at + 1 :] for at in range(len(module))]
    for bytes_of_it in broken:
        try:
            expose_state(bytes_of_it)
        except MalformedError:
            continue


STEP = '(func (export "step") (result i32) {body} (i32.const 0))'
REFUSED = {
    "a mutable global that is imported": (
        '(import "env" "g" (global (mut i32)))',
        "imports the mutable global `env.g`",
    ),
    "an imported memory": ('(import "env" "m" (memory 1))', "imports the memory `env.m`"),
    "an imported table": ('(import "env" "t" (table 1 funcref))', "imports the table `env.t`"),
    "a mutable reference to a function": ("(global (mut funcref) (ref.null func))", "global 0 is a mutable funcref"),
    "one that is exported": (
        '(global i32 (i32.const 1)) (global (export "held") (mut funcref) (ref.null func))',
        "global 1 (exported as `held`) is a mutable funcref",
    ),
    "an export with a name of ours": ('(global (export "leasegrid:x") i32 (i32.const 1))', "`leasegrid:x`"),
    "a table that is set": (
        "(table 2 funcref) (func (table.set (i32.const 0) (ref.null func)))",
        "defined function 0, at byte 0x",
    ),
    "a table that grows": (
        "(table 2 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
        "changes a table (`table.grow`)",
    ),
    "a passive segment that is dropped": ('(memory 1) (data $d "x") (func (data.drop $d))', "passive data segments"),
}


@pytest.mark.unhappy("a step() module whose state a snapshot cannot hold")
@pytest.mark.parametrize("case", REFUSED)
def test_state_that_a_snapshot_would_miss_is_refused_and_named(case: str) -> None:
    parts, words = REFUSED[case]
    fault = refusal(f"(module {parts} {STEP.format(body='')})")
    assert fault.kind is FaultKind.UNSUPPORTED
    assert words in fault.message
    assert fault.remedy


@pytest.mark.unhappy("a step() module with shared memory or several memories")
@pytest.mark.parametrize("parts", ["(memory 1 1 shared)", "(memory 1) (memory 1)"])
def test_memories_that_the_engine_does_not_have_are_no_modules_here(parts: str) -> None:
    assert refusal(f"(module {parts} {STEP.format(body='')})").kind is FaultKind.BAD_MODULE


@pytest.mark.unhappy("an export `step` of another type, and nothing else to run")
def test_a_step_of_another_type_is_no_module_to_run_and_is_told_so() -> None:
    fault = refusal('(module (func (export "step") (param i32)))')
    assert (fault.kind, "`step` is no function without parameters" in fault.message) == (FaultKind.BAD_MODULE, True)


def test_segments_and_tables_that_are_only_read_are_no_reason_to_refuse() -> None:
    module = """(module (memory 1) (data $d "x") (table 2 funcref) (elem (i32.const 0) $f) (type $t (func))
     (func $f) (func (export "step") (result i32)
      (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))
      (call_indirect (type $t) (i32.const 0)) (drop (table.size 0)) (i32.const 0)))"""
    assert isinstance(native(bytes(wasmtime.wat2wasm(module))), int)
