"""Bytes that are no module, modules that are not taken, and modules made to exhaust the compiler."""

import random
from collections.abc import Iterator
from functools import partial

from tasklet_runner.sandbox.binary import unsigned_leb
from tests.hostile.cases import Case, Program
from tests.hostile.wasi import binary, command, exiting

BAD, MEMORY, TIMED_OUT = "BadModule", "MemoryExceeded", "TimedOut"
_PREAMBLE = b"\0asm\x01\0\0\0"


def cases() -> Iterator[Case]:
    """Kinds: malformed, truncated, forbidden proposal, foreign import, 4 GiB memory, floods of names."""
    yield from _malformed()
    yield from _truncated()
    yield from _proposals()
    yield from _imports()
    yield from _huge_memories()
    yield from _loud_names()


def nested_ifs(depth: int) -> bytes:
    """`if`s in each other, some 11 bytes each: at 200,000 it is 2.2 MB."""
    return _function(b"\x41\x01\x04\x40" * depth + b"\x41\x00\x1a" + b"\x0b" * depth)


def many_functions(count: int) -> bytes:
    """Functions of ten bytes each."""
    body = _sized(b"\x00" + b"\x41\x01\x41\x02\x6a\x1a" + b"\x0b")
    return _PREAMBLE + b"".join(
        (
            _section(1, b"\x01\x60\0\0"),
            _section(3, unsigned_leb(count) + b"\0" * count),
            _section(5, b"\x01\0\x01"),
            _section(7, _EXPORTS),
            _section(10, unsigned_leb(count) + body * count),
        )
    )


def live_locals(count: int, rounds: int) -> bytes:
    """So many locals that are all alive through so many branches."""
    numbers = [unsigned_leb(number) for number in range(count)]
    mixed = b"".join(
        b"\x20"
        + numbers[n]
        + b"\x20"
        + numbers[(n * 7 + turn) % count]
        + b"\x6a\x21"
        + numbers[n]
        + b"\x20"
        + numbers[n]
        + b"\x04\x40\x0b"
        for turn in range(rounds)
        for n in range(count)
    )
    stored = b"".join(b"\x41\0\x20" + number + b"\x36\x02\0" for number in numbers)
    return _function(mixed + stored, locals_=b"\x01" + unsigned_leb(count) + b"\x7f")


def jump_table(labels: int) -> bytes:
    """A br_table with so many labels in as many functions."""
    return _function(b"\x02\x40\x41\0\x0e" + unsigned_leb(labels) + b"\0" * labels + b"\0\x0b")


_EXPORTS = b"\x02\x06_start\0\0\x06memory\x02\0"


def _function(code: bytes, locals_: bytes = b"\0") -> bytes:
    return _PREAMBLE + b"".join(
        (
            _section(1, b"\x01\x60\0\0"),
            _section(3, b"\x01\0"),
            _section(5, b"\x01\0\x01"),
            _section(7, _EXPORTS),
            _section(10, b"\x01" + _sized(locals_ + code + b"\x0b")),
        )
    )


def _sized(data: bytes) -> bytes:
    return unsigned_leb(len(data)) + data


def _section(number: int, data: bytes) -> bytes:
    return bytes((number,)) + _sized(data)


def bombs() -> Iterator[Case]:
    """Kind: compile bomb; each ends so where compiling has 200 MiB of memory and 2 seconds of CPU time."""
    of = partial(Case, "compile bomb", prepares=False)
    yield of("of 2.2 MB of nested ifs", lambda: nested_ifs(440_000), MEMORY)
    yield of("of 40,000 nested ifs", lambda: nested_ifs(40_000), TIMED_OUT)
    yield of("of 9 MB of functions", lambda: many_functions(900_000), MEMORY)
    yield of("of 2,000 live locals", lambda: live_locals(2000, 60), MEMORY)
    yield of("of a jump table with four million labels", lambda: jump_table(4_000_000), BAD)


def _malformed() -> Iterator[Case]:
    of = partial(Case, "malformed", reason=BAD, prepares=False)
    chance = random.Random(9)
    yield of("nothing at all", lambda: b"")
    yield of("noise", lambda: chance.randbytes(4096))
    yield of("noise behind a good beginning", lambda: _PREAMBLE + random.Random(9).randbytes(4096))
    yield of("an ELF program", lambda: b"\x7fELF" + bytes(100))
    yield of("text", lambda: b'(module (func (export "_start")))')
    yield of("another version", lambda: b"\0asm\x07\0\0\0")
    yield of("a section of 4 GiB in ten bytes", lambda: _PREAMBLE + b"\x01\xff\xff\xff\xff\x0f\0\0")
    yield of("an integer without an end", lambda: _PREAMBLE + b"\x01" + b"\xff" * 50)
    yield of("a vector of four billion types", lambda: _PREAMBLE + _section(1, b"\xff\xff\xff\xff\x0f"))
    yield of("sections out of order", lambda: _PREAMBLE + _section(3, b"\0") + _section(1, b"\0"))
    yield of("functions without bodies", lambda: _PREAMBLE + _section(1, b"\x01\x60\0\0") + _section(3, b"\x03\0\0\0"))
    yield of("code of the wrong type", lambda: _function(b"\x41\x01"))
    yield of("an opcode that is none", lambda: _function(b"\xff"))
    yield of("a branch to nowhere", lambda: _function(b"\x0c\x7f"))
    yield of("a name that is no UTF-8", lambda: _PREAMBLE + _section(7, b"\x01\x02\xff\xfe\0\0"))


def _first(data: bytes, length: int) -> bytes:
    return data[:length]


def _truncated() -> Iterator[Case]:
    whole = command("(drop (call $write (i32.const 1) @text))", texts={"text": "x" * 100})
    for share in range(1, 10):
        length = len(whole) * share // 10
        yield Case(
            "truncated",
            f"after {share} tenths",
            partial(_first, whole, length),
            BAD,
            prepares=False,
        )
    yield Case("truncated", "by its last byte", lambda: whole[:-1], BAD, prepares=False)


_PROPOSALS = {
    "threads": '(module (memory (export "memory") 1 2 shared) (func (export "_start")))',
    "atomics": '(module (memory (export "memory") 1) (func (export "_start") (drop (i32.atomic.load (i32.const 0)))))',
    "multiple memories": '(module (memory (export "memory") 1) (memory 1) (func (export "_start")))',
    "exceptions": '(module (tag $e) (memory (export "memory") 1) (func (export "_start") (throw $e)))',
    "garbage collection": '(module (type $s (struct (field i32))) (memory (export "memory") 1)'
    ' (func (export "_start") (drop (struct.new $s (i32.const 1)))))',
    "typed function references": '(module (type $f (func)) (memory (export "memory") 1)'
    ' (func (export "_start") (call_ref $f (ref.null $f))))',
    "stack switching": '(module (type $f (func)) (type $c (cont $f)) (memory (export "memory") 1)'
    ' (func $g) (elem declare func $g) (func (export "_start") (drop (cont.new $c (ref.func $g)))))',
    "wide arithmetic": '(module (memory (export "memory") 1) (func (export "_start")'
    " (drop (drop (i64.mul_wide_u (i64.const 1) (i64.const 1))))))",
    "custom page sizes": '(module (memory (export "memory") 1 (pagesize 1)) (func (export "_start")))',
    "components": "(component)",
}


def _proposals() -> Iterator[Case]:
    for name, text in _PROPOSALS.items():
        yield Case("forbidden proposal", name, partial(binary, text), BAD, prepares=False)


def _imports() -> Iterator[Case]:
    of = partial(Case, "foreign import", reason=BAD, prepares=False)
    module = '(module (import "{0}" "{1}" {2}) (memory (export "memory") 1) (func (export "_start")))'
    for name, (host, item, kind) in {
        "of a system call": ("env", "system", "(func (param i32) (result i32))"),
        "of an older WASI": ("wasi_unstable", "fd_write", "(func (param i32 i32 i32 i32) (result i32))"),
        "of a socket that WASI has not": ("wasi_snapshot_preview1", "sock_open", "(func (param i32) (result i32))"),
        "of a WASI function with another type": ("wasi_snapshot_preview1", "fd_write", "(func)"),
        "of somebody's memory": ("env", "memory", "(memory 1)"),
        "with a name of 90,000 bytes": ("wasi_snapshot_preview1", "n" * 90_000, "(func)"),
        "from a module with a name of 90,000 bytes": ("m" * 90_000, "f", "(func)"),
    }.items():
        yield of(name, partial(binary, module.format(host, item, kind)))


def _huge_memories() -> Iterator[Case]:
    of = partial(Case, "4 GiB of memory")
    text = '(module (memory (export "memory") {0}) (func (export "_start")))'
    yield of("from the beginning", lambda: command("", memory="65536"), MEMORY)
    yield of("by growing", lambda: exiting("(i32.add (memory.grow (i32.const 65534)) (i32.const 45))"), "ExitCode(44)")
    yield of("of 64 bits", lambda: binary(text.format("i64 65536")), BAD, prepares=False)
    yield of("of 64 bits and 16 EiB", lambda: binary(text.format("i64 0x1000000000000")), BAD, prepares=False)
    yield of(
        "filled by a segment at its end",
        lambda: binary(
            '(module (memory (export "memory") 65536) (data (i32.const 0xfffffff0) "end") (func (export "_start")))'
        ),
        MEMORY,
    )


def _named(name: str) -> bytes:
    inner = _sized(name.encode())
    names = b"\x01" + _sized(b"\x01\0" + inner)
    return _function(b"\x10\0\x00") + _section(0, b"\x04name" + names)


def _loud_names() -> Iterator[Case]:
    of = partial(Case, "loud name")
    yield of("of a megabyte in a backtrace", lambda: _named("f" * 1_000_000), "Trapped(STACK_OVERFLOW)")
    yield of("of line ends in a backtrace", lambda: _named("wasm trap: \n" * 2000), "Trapped(STACK_OVERFLOW)")
    yield of(
        "of a megabyte in exports",
        lambda: binary(f'(module (func (export "{"e" * 1_000_000}")))'),
        BAD,
        prepares=False,
    )
    yield of(
        "of a program that leads elsewhere",
        lambda: command("unreachable"),
        "Trapped(UNREACHABLE)",
        program=Program(arguments=("../../../etc/passwd", "$(PATH)", "\x1b[2J")),
    )
