"""Which requests take the short way through the door; everything else is the general server's."""

import pytest

from tasklet_runner.member.entrance import PlainCall, plain_call


def request(line: str, *fields: str, body: str = "") -> bytes:
    return "".join(f"{each}\r\n" for each in (line, *fields, "")).encode() + body.encode()


BIND = "POST /v1/bind HTTP/1.1"
STATE = "GET /v1/state HTTP/1.1"
LENGTH = "Content-Length: 2"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(request(BIND, "Host: m", LENGTH, body="{}"), PlainCall("bind", b"{}"), id="a call with its body"),
        pytest.param(request(BIND, "content-length:2", body="{}"), PlainCall("bind", b"{}"), id="names have no case"),
        pytest.param(request(STATE, "Host: m"), PlainCall("state", b""), id="the question for the state"),
        pytest.param(request(BIND, LENGTH, body="{"), None, id="half a body"),
        pytest.param(request(BIND, LENGTH, body="{}GET"), None, id="more than one request"),
        pytest.param(request(BIND, LENGTH)[:-2], None, id="half a head"),
        pytest.param(request(BIND, body="{}"), None, id="no length"),
        pytest.param(request(BIND, LENGTH, LENGTH, body="{}"), None, id="two lengths"),
        pytest.param(request(BIND, "Content-Length: +2", body="{}"), None, id="a length with a sign"),
        pytest.param(request(BIND, LENGTH, "Transfer-Encoding: chunked", body="{}"), None, id="chunks"),
        pytest.param(request(BIND, LENGTH, "Connection: close", body="{}"), None, id="a wish about the connection"),
        pytest.param(request(BIND, LENGTH, "Expect: 100-continue", body="{}"), None, id="an expectation"),
        pytest.param(request(BIND, LENGTH, " folded", body="{}"), None, id="a folded field"),
        pytest.param(request(BIND, "Content-Length : 2", body="{}"), None, id="a space before the colon"),
        pytest.param(request("POST /v1/bind HTTP/1.0", LENGTH, body="{}"), None, id="another version"),
        pytest.param(request("POST /v1/bind?x HTTP/1.1", LENGTH, body="{}"), None, id="a query"),
        pytest.param(request("POST /v1/state HTTP/1.1", LENGTH, body="{}"), None, id="a post to a question"),
        pytest.param(request("GET /v1/bind HTTP/1.1"), None, id="a question for a verb"),
        pytest.param(request("GET /v1/work HTTP/1.1", "Upgrade: websocket"), None, id="the work connection"),
        pytest.param(request(STATE, "Content-Length: 0"), None, id="a question with a length"),
        pytest.param(b"\x16\x03\x01\x02\x00", None, id="another protocol"),
    ],
)
def test_the_short_way(data: bytes, expected: PlainCall | None) -> None:
    assert plain_call(data) == expected
