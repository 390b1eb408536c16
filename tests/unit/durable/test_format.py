"""A header is what was written, or no header: and it says why."""

import hashlib
import struct

import pytest

from tasklet_runner.durable.format import HEADER_BYTES, VERSION, Header, Kind, Unreadable, decode_header, encode_header

HEADERS = [
    pytest.param(Header(Kind.FULL, 1, 0, 100, 100, b"d" * 16), id="a full one"),
    pytest.param(Header(Kind.DELTA, 2**40, 7, 20, 10**12, b"d" * 16, b"l" * 32), id="a delta"),
    pytest.param(Header(Kind.EPOCH, 0, 2**62), id="an epoch"),
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_comes_back_as_it_was(header: Header) -> None:
    assert decode_header(encode_header(header)) == header
    assert decode_header(encode_header(header) + b"what follows") == header


@pytest.mark.parametrize("header", HEADERS)
def test_no_bit_of_a_header_can_be_another(header: Header) -> None:
    encoded = encode_header(header)
    for position in range(HEADER_BYTES * 8):
        changed = bytearray(encoded)
        changed[position // 8] ^= 1 << position % 8
        assert isinstance(decode_header(bytes(changed)), Unreadable)


@pytest.mark.parametrize("length", range(HEADER_BYTES))
def test_no_part_of_a_header_is_one(length: int) -> None:
    assert isinstance(decode_header(encode_header(Header(Kind.FULL, 1, 1))[:length]), Unreadable)


def _signed(fields: bytes) -> bytes:
    return fields + hashlib.sha256(fields).digest()


def test_a_whole_header_of_another_version_says_which() -> None:
    fields = bytearray(encode_header(Header(Kind.FULL, 1, 1))[: HEADER_BYTES - 32])
    struct.pack_into("<H", fields, 8, VERSION + 1)
    found = decode_header(_signed(bytes(fields)))
    assert isinstance(found, Unreadable)
    assert found.version == VERSION + 1
    assert found.reason == "it is of version 2, this release reads version 1"


@pytest.mark.parametrize(
    ("offset", "value"), [(10, 9), (16, 2**63), (24, 2**64 - 1)], ids=["a kind", "a generation", "an epoch"]
)
def test_values_that_no_writer_gives_are_no_header(offset: int, value: int) -> None:
    fields = bytearray(encode_header(Header(Kind.FULL, 1, 1))[: HEADER_BYTES - 32])
    struct.pack_into("<H" if offset == 10 else "<Q", fields, offset, value)
    assert isinstance(decode_header(_signed(bytes(fields))), Unreadable)


def test_of_two_checkpoints_the_one_of_the_later_epoch_is_newer() -> None:
    assert Header(Kind.FULL, 3, 2).order > Header(Kind.FULL, 9, 1).order
    assert Header(Kind.FULL, 3, 2).order > Header(Kind.FULL, 2, 2).order
