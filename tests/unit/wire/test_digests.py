"""Digests: of which kind one is says its length."""

import hashlib

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tasklet_runner.wire.digests import BLOCK_BYTES, BlockSums, Checksum, checksum, digest_like, hasher_like

DATA = bytes(range(256)) * 40


def test_a_checksum_is_a_poly1305_tag_under_the_key_that_everybody_knows() -> None:
    assert checksum(DATA) == Poly1305.generate_tag(bytes(range(32)), DATA)


@pytest.mark.parametrize("step", [1, 15, 16, 1000, len(DATA)])
def test_a_checksum_is_the_same_in_whatever_pieces_the_bytes_come(step: int) -> None:
    hasher = Checksum()
    for start in range(0, len(DATA), step):
        hasher.update(memoryview(DATA)[start : start + step])
    assert hasher.digest() == checksum(DATA)


@pytest.mark.parametrize(
    ("digest", "expected"),
    [
        pytest.param(bytes(16), checksum(DATA), id="sixteen bytes are a checksum"),
        pytest.param("00" * 16, checksum(DATA), id="and so are thirty-two digits"),
        pytest.param(bytes(32), hashlib.sha256(DATA).digest(), id="thirty-two bytes are a SHA-256"),
        pytest.param("00" * 32, hashlib.sha256(DATA).digest(), id="and so are sixty-four digits"),
        pytest.param("nonsense", hashlib.sha256(DATA).digest(), id="anything else is like no digest, nor is it equal"),
    ],
)
def test_the_length_of_a_digest_says_which_kind_it_is(digest: bytes | str, expected: bytes) -> None:
    assert digest_like(digest, DATA) == hasher_digest(digest) == expected


def hasher_digest(digest: bytes | str) -> bytes:
    hasher = hasher_like(digest)
    hasher.update(DATA)
    return hasher.digest()


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(0, id="of nothing there is no checksum"),
        pytest.param(5, id="a block that is not full has one"),
        pytest.param(BLOCK_BYTES, id="a full one too"),
        pytest.param(2 * BLOCK_BYTES + 7, id="and what is left of several"),
    ],
)
@pytest.mark.parametrize("step", [7919, BLOCK_BYTES, 3 * BLOCK_BYTES])
def test_each_block_of_an_object_has_its_checksum(size: int, step: int) -> None:
    data = (DATA * (size // len(DATA) + 1))[:size]
    sums = BlockSums()
    for start in range(0, size, step):
        sums.add(data[start : start + step])
    blocks = (data[start : start + BLOCK_BYTES] for start in range(0, size, BLOCK_BYTES))
    assert sums.finish() == b"".join(map(checksum, blocks))


@pytest.mark.unhappy("a bit that flips, and two pieces that change places")
def test_a_checksum_finds_a_flipped_bit_and_pieces_that_changed_places() -> None:
    flipped = bytearray(DATA)
    flipped[5000] ^= 1
    exchanged = DATA[16:32] + DATA[:16] + DATA[32:]
    assert len({checksum(DATA), checksum(bytes(flipped)), checksum(exchanged), checksum(DATA[:-1])}) == 4
