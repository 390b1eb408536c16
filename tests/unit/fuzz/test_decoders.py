"""Every decoder reads what our encoders write, and refuses everything else in words: the short form of the fuzzing."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.decoder import Decoder
from tests.fuzz.decoders import DECODERS
from tests.fuzz.running import fuzz, replay, times

SEED = 1

each = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)


@pytest.fixture(autouse=True)
def _unheard() -> Iterator[None]:
    """What a door logs of a request that is none is judged by its answer."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@each
def test_what_our_encoders_write_is_read_and_what_once_broke_a_decoder_is_refused_in_words(
    decoder: Decoder, tmp_path: Path
) -> None:
    outcome = replay(decoder, tmp_path)
    assert not outcome.faults, str(outcome)


@pytest.mark.unhappy("bytes that no encoder of ours wrote: read the same twice, or refused by a typed error")
@each
def test_bytes_that_nobody_wrote_are_read_the_same_twice_or_refused_in_words(decoder: Decoder, tmp_path: Path) -> None:
    outcome = fuzz(decoder, tmp_path, SEED, times(decoder.tries))
    assert not outcome.faults, str(outcome)
    assert outcome.refused
