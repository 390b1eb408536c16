"""Which partition a key belongs to: the same on every machine, in every version and every language.

Algorithm: the first eight bytes of the key's SHA-256 (FIPS 180-4) as an unsigned big-endian number, modulo the number
of partitions. It is part of the public contract and never changes: a resumed shuffle may meet parts written by an older
version.
"""

import hashlib


def partition(key: bytes, partitions: int) -> int:
    """The key's partition, 0 <= n < `partitions`. Raises ValueError when there are none."""
    if partitions < 1:
        raise ValueError(f"a key cannot be put into {partitions} partitions: at least one is needed")
    return number_of(hashlib.sha256(key).digest(), partitions)


def number_of(digest: bytes, partitions: int) -> int:
    """The partition of a key with this SHA-256, for one that is hashed in pieces."""
    return int.from_bytes(digest[:8], "big") % partitions
