"""Keys of checkpoints are one segment of a path and the stem of a file's name, and come back as they were."""

import pytest

from tasklet_runner.wire.checkpoints import (
    CHECKPOINTS_PATH,
    DELTAS,
    EPOCH,
    checkpoint_key,
    checkpoint_path,
    encoded_key,
)
from tasklet_runner.wire.errors import ProtocolError


@pytest.mark.parametrize("key", ["main/7", ".", "..", "a.b/c", "ü 😀?#%2F", "x" * 180], ids=ascii)
@pytest.mark.parametrize("part", ["", DELTAS, EPOCH])
def test_a_key_is_one_segment_without_a_dot_and_comes_back(key: str, part: str) -> None:
    path = checkpoint_path(key, part)
    assert path.startswith(CHECKPOINTS_PATH)
    assert path.removeprefix(CHECKPOINTS_PATH).partition("/") == (encoded_key(key), "/" if part else "", part)
    assert "." not in encoded_key(key)
    assert checkpoint_key(path) == key


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "1 to 180"),
        ("x" * 181, "1 to 180"),
        ("%FF", "not UTF-8"),
    ],
    ids=["nothing", "too long", "bytes that are no text"],
)
def test_what_names_no_checkpoint_is_refused(path: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        checkpoint_key(CHECKPOINTS_PATH + path)


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(ProtocolError, match="is not text"):
        encoded_key("\ud800")
