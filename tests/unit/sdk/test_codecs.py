"""A state comes back as it was, or it is said why it cannot."""

import array
import random
from dataclasses import dataclass
from typing import Any

import pytest

from leasegrid.sdk import envelopes
from leasegrid.sdk.codecs import BUFFER, BYTES, MESSAGEPACK, PICKLE, Codec
from leasegrid.sdk.envelopes import Envelope
from tasklet_runner.durable.deltas import BLOCK_BYTES
from tasklet_runner.wire.errors import CheckpointVersionError, UnsupportedError


@dataclass
class Walk:
    position: tuple[int, int]
    seen: set[str]
    note: bytes = b""


def _round(codec: Codec[Any], state: object, first: object) -> object:
    return codec.decode(memoryview(bytes(codec.encode(state))), first)


@pytest.mark.parametrize(
    ("codec", "state", "first"),
    [
        pytest.param(MESSAGEPACK, {"sum": 1.5, 7: [None, True, "ü"], "raw": b"\0"}, {}, id="a dictionary"),
        pytest.param(MESSAGEPACK, [1, 2**63, -(2**63)], [], id="a list of large numbers"),
        pytest.param(MESSAGEPACK, Walk((1, 2), {"a"}, b"x"), Walk((0, 0), set()), id="a dataclass with its own types"),
        pytest.param(MESSAGEPACK, 3, 0, id="a number"),
        pytest.param(BYTES, b"raw", b"", id="bytes"),
        pytest.param(BUFFER, bytearray(b"1234"), bytearray(4), id="a bytearray"),
        pytest.param(BUFFER, array.array("d", [1.5, 2.5]), array.array("d", [0, 0]), id="an array of numbers"),
        pytest.param(PICKLE, random.Random(3).getstate(), None, id="what only pickle can"),
    ],
)
def test_a_state_comes_back_as_it_was(codec: Codec[Any], state: object, first: object) -> None:
    assert _round(codec, state, first) == state


def test_memory_is_restored_where_it_stands() -> None:
    mine = array.array("q", [0, 0])
    assert _round(BUFFER, array.array("q", [3, 4]), mine) is mine
    assert list(mine) == [3, 4]


@pytest.mark.parametrize(
    ("codec", "state", "words"),
    [
        pytest.param(MESSAGEPACK, {"file": object()}, "cannot be written as MessagePack.*codec=", id="an object"),
        pytest.param(MESSAGEPACK, 2**70, "cannot be written as MessagePack", id="a number of 71 bits"),
        pytest.param(BUFFER, [1, 2], "no memory in one piece", id="no buffer"),
        pytest.param(BUFFER, memoryview(b"12345678")[::2], "no memory in one piece", id="memory with gaps"),
    ],
)
def test_a_state_that_cannot_be_written_is_refused_with_what_would_do(
    codec: Codec[Any], state: object, words: str
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        codec.encode(state)


@pytest.mark.unhappy("a checkpoint whose state has another shape")
@pytest.mark.parametrize(
    ("codec", "state", "first"),
    [
        pytest.param(MESSAGEPACK, {"sum": 1}, Walk((0, 0), set()), id="another type"),
        pytest.param(MESSAGEPACK, [1, 2], {}, id="a list for a dictionary"),
        pytest.param(BUFFER, bytearray(4), bytearray(5), id="memory of another size"),
    ],
)
def test_a_state_of_another_shape_is_refused(codec: Codec[Any], state: object, first: object) -> None:
    with pytest.raises(CheckpointVersionError, match=r"the checkpoint (is not|has)"):
        _round(codec, state, first)


def test_the_envelope_is_one_block_before_the_state() -> None:
    encoded = envelopes.encode(Envelope("bytes", 3, 12))
    assert len(encoded) == BLOCK_BYTES
    envelope, state = envelopes.decode(bytearray(encoded + b"state"), "bytes", 3)
    assert (envelope.step, bytes(state)) == (12, b"state")


@pytest.mark.unhappy("a state of another version")
@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (
            envelopes.encode(Envelope("bytes", 2, 1)),
            "of version 2 written as bytes; this program reads version 3",
        ),
        (envelopes.encode(Envelope("pickle", 3, 1)), "of version 3 written as pickle; .* written as bytes"),
        (b"not by Durable", "was not written by Durable"),
        (b"", "was not written by Durable"),
    ],
    ids=["another version", "another codec", "something else", "nothing"],
)
def test_a_state_of_another_version_or_codec_is_refused_with_both(payload: bytes, words: str) -> None:
    with pytest.raises(CheckpointVersionError, match=words):
        envelopes.decode(bytearray(payload), "bytes", 3)
