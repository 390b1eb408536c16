"""Which bytes a `Range` header asks for, as a table."""

import pytest

from tasklet_runner.store.ranges import byte_range
from tasklet_runner.wire.errors import RefusedError


@pytest.mark.parametrize(
    ("header", "span"),
    [
        pytest.param("bytes=0-0", (0, 1), id="the end is included in the header and not in the answer"),
        pytest.param("bytes=2-", (2, 10), id="an open end is the object's"),
        pytest.param("bytes=2-99", (2, 10), id="a late end is the object's"),
        pytest.param("bytes=-3", (7, 10), id="the last bytes"),
        pytest.param("bytes=-99", (0, 10), id="more last bytes than there are"),
        pytest.param(" Bytes = 1 - 4 ", (1, 5), id="blanks and capitals"),
        pytest.param("", None, id="no header: the whole object"),
        pytest.param("bytes=-", None, id="no number: the whole object"),
        pytest.param("bytes=5-2", None, id="backwards: the whole object"),
        pytest.param("bytes=0-1,3-4", None, id="several: the whole object"),
        pytest.param("lines=0-1", None, id="other units: the whole object"),
        pytest.param("bytes=x-1", None, id="no digits: the whole object"),
        pytest.param("bytes=0-" + "9" * 30, None, id="an absurd number: the whole object"),
    ],
)
def test_a_header_asks_for_bytes_or_for_the_whole(header: str, span: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == span


@pytest.mark.unhappy("a range that the object does not have")
@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-0", 0), ("bytes=-5", 0)])
def test_a_range_without_a_byte_is_refused(header: str, size: int) -> None:
    with pytest.raises(RefusedError) as caught:
        byte_range(header, size)
    assert caught.value.reason == "RangeNotSatisfiable"
