"""Batches as bytes: in whatever pieces they come, the same objects come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.wire.batches import MAX_HEAD_BYTES, BatchDecoder, ObjectHead, framed, framed_bytes
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.store import MAX_KEY_BYTES

_KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
_OBJECTS = st.lists(st.tuples(_KEYS, st.binary(max_size=60)), max_size=5)


def decoded(pieces: list[bytes]) -> list[tuple[str, bytes]]:
    decoder, found = BatchDecoder(), list[tuple[str, bytes]]()
    for piece in pieces:
        for part in decoder.feed(piece):
            if isinstance(part, ObjectHead):
                found.append((part.key, b""))
            else:
                key, data = found.pop()
                found.append((key, data + part))
    assert decoder.between
    return found


@given(_OBJECTS, st.integers(1, 40))
def test_a_batch_comes_out_as_it_went_in_however_it_is_cut(objects: list[tuple[str, bytes]], step: int) -> None:
    whole = b"".join(framed(ObjectHead(key, len(data))) + data for key, data in objects)
    assert decoded([whole[at : at + step] for at in range(0, len(whole), step)]) == objects
    assert decoded([whole]) == objects


@given(_KEYS, st.integers(0, 2**50))
def test_the_length_of_a_batch_is_known_before_its_digests_are(key: str, size: int) -> None:
    assert framed_bytes(key, size) == len(framed(ObjectHead(key, size, "ab" * 16))) + size
    assert framed_bytes(key, size, bytes(32)) == len(framed(ObjectHead(key, size, "ab" * 32))) + size


def test_the_longest_key_fits_into_a_header_however_it_is_escaped() -> None:
    key = "\x01" * MAX_KEY_BYTES
    assert len(framed(ObjectHead(key, 2**62, "f" * 64))) <= MAX_HEAD_BYTES
    head = framed(ObjectHead(key, 0))
    assert decoded([head[:1000], head[1000:]]) == [(key, b"")]


@pytest.mark.unhappy("a batch that is no batch")
@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        (MAX_HEAD_BYTES + 1).to_bytes(4, "big"),
        b"\0\0\0\2[]",
        b'\0\0\0\x0b{"key":"a"}',
        framed(ObjectHead("a", -1)),
        framed(ObjectHead("", 0)),
        framed(ObjectHead("k" * (MAX_KEY_BYTES + 1), 0)),
    ],
    ids=[
        "a header of four gigabytes",
        "a header that is too long",
        "a header that is no object",
        "no size",
        "a negative size",
        "no key",
        "a key that is too long",
    ],
)
def test_what_is_no_batch_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(BatchDecoder().feed(data))


def test_a_key_that_is_not_unicode_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="not UTF-8"):
        framed(ObjectHead("\ud800", 0))
