"""Bytes that are not what was written."""

import random
from collections.abc import Callable, Iterator

Damage = Callable[[random.Random, bytes], bytes]


def flipped(chance: random.Random, data: bytes) -> bytes:
    """One to eight bits are others."""
    bad = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
    return bytes(bad)


def truncated(chance: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: chance.randrange(len(data))]


def zeroed(chance: random.Random, data: bytes) -> bytes:
    """A range reads as zeros: a block that never came to the disk."""
    start = chance.randrange(len(data))
    size = min(chance.randint(1, max(1, len(data) // 4)), len(data) - start)
    return data[:start] + bytes(size) + data[start + size :]


def swapped(chance: random.Random, data: bytes) -> bytes:
    """Two ranges have changed places: a block was written elsewhere."""
    size = chance.randint(1, max(1, len(data) // 4))
    one, other = sorted(chance.randrange(len(data) - size + 1) for _ in range(2))
    if other - one < size:
        return flipped(chance, data)
    middle = data[one + size : other]
    return data[:one] + data[other : other + size] + middle + data[one : one + size] + data[other + size :]


def extended(chance: random.Random, data: bytes) -> bytes:
    """Something else follows."""
    return data + chance.randbytes(chance.randint(1, 64))


KINDS: tuple[Damage, ...] = (flipped, truncated, zeroed, swapped, extended)


def corruptions(data: bytes, count: int, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """So many damaged versions of some bytes, each with the name of what was done, all other than they were."""
    made = 0
    while made < count:
        damage = chance.choice(KINDS)
        bad = damage(chance, data)
        if bad != data:
            made += 1
            yield damage.__name__, bad
