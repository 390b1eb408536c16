"""Bytes made from good ones: what a careless network, a broken disk and a hostile sender would make of them."""

import random
import re
from collections.abc import Callable, Sequence

Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
"""What is made of some bytes, all seeds at hand."""

MAX_INPUT_BYTES = 256 * 1024
"""Longer ones find nothing that shorter ones do not."""

_NUMBERS = (
    b"0",
    b"-1",
    b"1e308",
    b"-0.0",
    b"1e-400",
    b"9" * 19,
    b"9" * 25,
    b"9" * 5000,
    b"18446744073709551616",
    b"NaN",
)
_TOKENS = (
    b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", "\u2028\U0001f600".encode(), b"\\ud800", b"\\u0000", b"null",
    b"true", b'""', b"[]", b"{}", b"%00", b"%2F..%2F", b"../",
    b"\r\n", b"---\n", b"&a [*a]", b"<<: ", b"!!int x", b"!!binary x",
    b"!!timestamp x", b"!!bool x", b"!!float x", b"0x" + b"f" * 5000, b"\xc1", b"\xc0", b"\xcb\x7f\xf8" + bytes(6),
    b"\xd4\xff",
)  # fmt: skip
_NESTING = (b"[", b"{", b'{"a":', b"\x91", b"\x81\xa1a", b"- ", b"a: {", b"(", b"%25")
_LENGTHS = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_DIGITS = re.compile(rb"[0-9]+")


def flip(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """One to eight other bits."""
    bad = bytearray(data or b"\0")
    for _number in range(chance.randint(1, 8)):
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
    return bytes(bad)


def truncate(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Its end is missing."""
    return data[: chance.randrange(len(data) + 1)]


def remove(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A range is missing."""
    start, stop = sorted(chance.randrange(len(data) + 1) for _number in range(2))
    return data[:start] + data[min(stop, start + 64) :]


def repeat(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A range comes again, once or many times."""
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.randint(1, 32)]
    return data[:start] + piece * chance.choice((2, 3, 17, 1000)) + data[start:]


def splice(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Its beginning and the end of another seed."""
    other = chance.choice(seeds)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def lie(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Some bytes are another number: as a length it says too much, too little or nothing."""
    size, order = chance.choice((1, 2, 4, 8)), chance.choice(("big", "little"))
    number = chance.choice(_LENGTHS) & ((1 << 8 * size) - 1)
    at = chance.randrange(len(data) + 1)
    return data[:at] + number.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]  # one of both orders


def renumber(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A number in text is another one: huge, negative, none."""
    found = list(_DIGITS.finditer(data))
    if not found:
        return insert(chance, data, _)
    place = chance.choice(found)
    return data[: place.start()] + chance.choice(_NUMBERS) + data[place.end() :]


def insert(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Something stands where nothing stood."""
    at = chance.randrange(len(data) + 1)
    token = chance.choice((*_TOKENS, chance.randbytes(chance.randint(1, 16))))
    return data[:at] + token + data[at + chance.choice((0, 0, len(token))) :]


def nest(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Something opens again and again, and never closes."""
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(_NESTING) * chance.choice((3, 70, 3000, 30_000)) + data[at:]


MUTATORS: tuple[Mutator, ...] = (flip, flip, truncate, remove, repeat, splice, lie, renumber, insert, nest)


def mutated(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """One to four things happen to it."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        data = chance.choice(MUTATORS)(chance, data, seeds)[:MAX_INPUT_BYTES]
    return data
