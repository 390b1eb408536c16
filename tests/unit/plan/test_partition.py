"""The partition hash is a published contract."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasklet_runner.plan.partition import partition


@pytest.mark.parametrize(
    ("key", "partitions", "expected"),
    [
        pytest.param(b"", 8, 4, id="the empty key"),
        pytest.param(b"lease", 8, 0, id="a word"),
        pytest.param(b"\xff\x00", 1000, 569, id="bytes that are no text"),
    ],
)
def test_keys_stay_in_their_partition_for_ever(key: bytes, partitions: int, expected: int) -> None:
    assert partition(key, partitions) == expected


@given(st.binary(), st.integers(1, 10_000))
def test_every_key_has_one_of_the_partitions(key: bytes, partitions: int) -> None:
    assert 0 <= partition(key, partitions) < partitions


def test_no_partitions_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="at least one is needed"):
        partition(b"a", 0)
