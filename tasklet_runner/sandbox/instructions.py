"""Walks over WebAssembly instructions, to find the few that change what a snapshot does not hold.

Source: WebAssembly Core Specification 3.0, section 5.4 (instructions) and its index of opcodes (A.7). An instruction is
one byte, or a prefix and a LEB128 number, and then its immediates. All that change nothing but locals, globals, memory
and the flow of control are skipped at once by a regular expression: a loop over them costs seconds for each megabyte.
"""

import re
from dataclasses import dataclass

_LEB = rb"[\x80-\xff]*+[\x00-\x7f]"
_ANY = rb"[\x00-\xff]"

_PLAIN = rb"[\x00\x01\x05\x0f\x1a\x1b\x45-\xc4\xd1]"
"""No immediates: unreachable, nop, else, return, drop, select, all of numbers, ref.is_null. Neither end nor blocks."""

_ONE = rb"[\x0c\x0d\x10\x12\x20-\x25\x3f-\x42\xd0\xd2]" + _LEB
"""One number: br, br_if, call, return_call, local.*, global.*, table.get, memory.size, memory.grow, i32.const,
i64.const, ref.null, ref.func."""

_TWO = rb"[\x11\x13\x28-\x3e]" + _LEB + _LEB
"""Two numbers: call_indirect, return_call_indirect, all loads and stores (alignment, offset)."""

_CONSTANT = rb"\x43" + _ANY + rb"{4}|\x44" + _ANY + rb"{8}"
"""f32.const, f64.const."""

_SELECT = rb"\x1c\x01" + _ANY
"""select with its type."""

_BULK = rb"\xfc(?:[\x00-\x07]|[\x0b\x0d\x10]" + _LEB + rb"|[\x08\x0a]" + _LEB + _LEB + rb")"
"""Saturating truncations; memory.fill, elem.drop, table.size; memory.init, memory.copy. elem.drop counts for nothing:
what it empties is used by table.init alone, which is found."""

_VECTOR = (
    rb"\xfd(?:[\x0e-\x14\x23-\x53\x5e-\x7f]"  # lanes are one value each; from 128 on there are no immediates
    rb"|[\x80-\xff][\x01-\x7f]"
    rb"|[\x00-\x0b\x5c\x5d]" + _LEB + _LEB + rb"|[\x54-\x5b]" + _LEB + _LEB + _ANY + rb"|[\x15-\x22]" + _ANY + rb"|"
    rb"[\x0c\x0d]" + _ANY + rb"{16})"
)
"""SIMD: loads and stores, those of one lane, extract and replace lane, v128.const, i8x16.shuffle, and all others."""

_HARMLESS = b"|".join((_ONE, _PLAIN, _TWO, _CONSTANT, _BULK, _VECTOR, _SELECT))
_BLOCK = rb"[\x02-\x04]" + _LEB
_END = b"\x0b"

_run_of_body = re.compile(rb"(?:" + b"|".join((_HARMLESS, _END, _BLOCK)) + rb")*+")
_run_of_expression = re.compile(rb"(?:" + _HARMLESS + rb")*+")
_number = re.compile(_LEB)

_BR_TABLE = 0x0E
_TABLE_SET = 0x26
_BULK_PREFIX = 0xFC
_VECTOR_PREFIX = 0xFD

_CHANGERS = {9: "data.drop", 12: "table.init", 14: "table.copy", 15: "table.grow", 17: "table.fill"}
"""Of the bulk instructions those that change tables, or which segments there are."""


@dataclass(frozen=True)
class Found:
    """An instruction at which a walk stopped: its name, or empty when it is none that is known here."""

    name: str
    position: int


def find_changer(module: bytes, start: int, end: int) -> Found | None:
    """The first instruction in `module[start:end]`, those of a function, that changes a table or drops a segment.

    None when there is none and the instructions end exactly at `end`.
    """
    position = start
    while True:
        run = _run_of_body.match(module, position, end)
        position = run.end() if run else position
        if position == end:
            return None
        following = _past_rare(module, position, end)
        if isinstance(following, Found):
            return following
        position = following


def end_of_expression(module: bytes, start: int, end: int) -> int:
    """Where an expression without blocks ends, as that of a global's first value; -1 when it does not."""
    run = _run_of_expression.match(module, start, end)
    position = run.end() if run else start
    return position + 1 if module[position:end].startswith(_END) else -1


def _past_rare(module: bytes, position: int, end: int) -> int | Found:
    """Behind one instruction that the expression leaves over, or what it is."""
    opcode = module[position]
    if opcode == _TABLE_SET:
        return Found("table.set", position)
    if opcode == _BR_TABLE:
        return _past_numbers(module, position + 1, end)
    if opcode == _BULK_PREFIX:
        return _past_prefixed(module, position, end)
    return Found("", position)


def _past_numbers(module: bytes, position: int, end: int) -> int | Found:
    """Behind the labels of a br_table: a count, so many numbers, and the default."""
    left, after = _read(module, position, end)
    while after >= 0 and left >= 0:
        left -= 1
        _, after = _read(module, after, end)
    return after if after >= 0 else Found("", position - 1)


def _past_prefixed(module: bytes, position: int, end: int) -> int | Found:
    number, after = _read(module, position + 1, end)
    return Found(_CHANGERS.get(number, "") if after >= 0 else "", position)


def _read(module: bytes, position: int, end: int) -> tuple[int, int]:
    """An unsigned number and where it ends; that is -1 when it does not."""
    found = _number.match(module, position, end)
    if found is None:
        return 0, -1
    value = 0
    for place, byte in enumerate(found.group()):
        value |= (byte & 0x7F) << (7 * place)
    return value, found.end()
