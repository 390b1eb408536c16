"""Numbers in words."""

import pytest

from leasegrid.cli import words


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        pytest.param(0, "chunk", "0 chunks", id="none is a plural"),
        pytest.param(1, "chunk", "1 chunk", id="one is a singular"),
        pytest.param(1024, "chunk", "1,024 chunks", id="thousands are set apart"),
        pytest.param(1024, "", "1,024", id="without a noun it is the number alone"),
    ],
)
def test_count(number: int, noun: str, said: str) -> None:
    assert words.count(number, noun) == said


@pytest.mark.parametrize(
    ("byte_count", "said"),
    [
        pytest.param(0, "0 B", id="nothing"),
        pytest.param(1023, "1023 B", id="bytes up to the first unit"),
        pytest.param(1536, "1.5 KiB", id="one decimal where it says something"),
        pytest.param(2 * 1024**3, "2 GiB", id="no decimal where it says nothing"),
        pytest.param(5 * 1024**5, "5120 TiB", id="the largest unit takes the rest"),
    ],
)
def test_size(byte_count: int, said: str) -> None:
    assert words.size(byte_count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(0.0, "0 ms", id="no time at all"),
        pytest.param(0.0854, "85 ms", id="below a second in milliseconds"),
        pytest.param(0.9996, "1 s", id="rounding never says 1000 ms"),
        pytest.param(2.44, "2.4 s", id="seconds with a decimal"),
        pytest.param(59.96, "1 min", id="rounding never says 60 s"),
        pytest.param(65, "1 min 5 s", id="minutes and seconds"),
        pytest.param(3600, "1 h", id="a whole hour"),
        pytest.param(12_000, "3 h 20 min", id="hours and minutes"),
        pytest.param(3 * 86400 + 7200, "3 d 2 h", id="days and hours"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("per_second", "said"),
    [
        pytest.param(0.0, "0/s", id="nothing moves"),
        pytest.param(0.25, "4 s each", id="slow chunks are told by their time"),
        pytest.param(2.5, "2.5/s", id="a few with a decimal"),
        pytest.param(12_345.6, "12,346/s", id="many without"),
    ],
)
def test_rate(per_second: float, said: str) -> None:
    assert words.rate(per_second) == said


def test_a_long_list_is_cut_with_a_count_of_the_rest() -> None:
    assert words.listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert words.listed(["a", "b"], 2) == "a, b"
