"""Kubernetes quantities, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasegrid.api.quantities import format_bytes, format_millicores, parse_bytes, parse_millicores


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2Gi", 2 * 1024**3, id="binary suffixes"),
        pytest.param("2G", 2 * 10**9, id="decimal suffixes"),
        pytest.param("1.5Ki", 1536, id="a fraction"),
        pytest.param(".5k", 500, id="a fraction without its zero"),
        pytest.param("1e3", 1000, id="an exponent"),
        pytest.param("1E", 10**18, id="E alone is exa"),
        pytest.param("12E-1", 2, id="a negative exponent, rounded up"),
        pytest.param("100m", 1, id="parts of a byte are rounded up"),
        pytest.param("+7", 7, id="a sign"),
        pytest.param(4096, 4096, id="a whole number"),
        pytest.param("0", 0, id="zero"),
        pytest.param("1Ei", 1024**6, id="exbi"),
    ],
)
def test_bytes_are_read_from(text: object, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("50m", 50, id="millicores"),
        pytest.param("2", 2000, id="cores as text"),
        pytest.param(2, 2000, id="cores as a number"),
        pytest.param("0.1", 100, id="a tenth, exactly"),
        pytest.param("1u", 1, id="parts of a millicore are rounded up"),
        pytest.param("100n", 1, id="even the smallest"),
    ],
)
def test_cores_are_read_from(text: object, expected: int) -> None:
    assert parse_millicores(text) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("2GB", "number with a suffix", id="a suffix that there is not"),
        pytest.param("", "number with a suffix", id="nothing"),
        pytest.param("1 Gi", "number with a suffix", id="a space"),
        pytest.param("-1Gi", "negative", id="less than nothing"),
        pytest.param("9" * 40, "number with a suffix", id="more digits than anyone needs"),
        pytest.param(0.5, "text in quotes", id="a float"),
        pytest.param(True, "text in quotes", id="a truth value"),
        pytest.param(None, "text in quotes", id="null"),
    ],
)
def test_it_is_no_quantity(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_bytes(value)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1000, "1000"), (1024, "1Ki"), (1536 * 1024**2, "1536Mi"), (2 * 1024**3, "2Gi")],
)
def test_bytes_are_written_with_the_largest_suffix_that_is_exact(count: int, text: str) -> None:
    assert format_bytes(count) == text


@given(st.integers(0, 2**62))
def test_what_is_written_is_read_back(count: int) -> None:
    assert parse_bytes(format_bytes(count)) == count
    assert parse_millicores(format_millicores(count)) == count
