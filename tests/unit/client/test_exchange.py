"""What counts as an answer of a member, and where its requests go."""

import pytest

from tasklet_runner.client.exchange import MAX_BODY_BYTES, MAX_HEAD_BYTES, Address, Answer, read_answer
from tasklet_runner.wire.errors import ProtocolError


def answer(*fields: str, body: str = "{}", status: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (status, *fields, "")).encode() + body.encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(answer("Content-Length: 2"), Answer(200, b"{}"), id="status, length and body are all it needs"),
        pytest.param(answer("content-length:  2 "), Answer(200, b"{}"), id="names have no case, values no margins"),
        pytest.param(answer("Content-Length: 0", body=""), Answer(200, b""), id="an empty body is a body"),
        pytest.param(
            answer("Content-Length: 2", status="HTTP/1.1 409"), Answer(409, b"{}"), id="a reason may be missing"
        ),
        pytest.param(
            answer("Connection: close", "Content-Length: 2"), Answer(200, b"{}", last=True), id="it may be the last one"
        ),
        pytest.param(answer("Content-Length: 3"), None, id="a body that has not come whole is awaited"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", None, id="a head that has not come whole is awaited"),
        pytest.param(b"", None, id="nothing is awaited"),
    ],
)
def test_answers(data: bytes, expected: Answer | None) -> None:
    assert read_answer(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(answer("Content-Length: 1"), id="more than was announced"),
        pytest.param(answer(), id="no length"),
        pytest.param(answer("Content-Length: 2", "Content-Length: 2"), id="two lengths"),
        pytest.param(answer("Content-Length: -2"), id="a negative length"),
        pytest.param(answer("Content-Length: two"), id="a length in words"),
        pytest.param(answer(f"Content-Length: {MAX_BODY_BYTES + 1}"), id="a body beyond the bound"),
        pytest.param(answer("Content-Length: 2", "Transfer-Encoding: chunked"), id="chunks"),
        pytest.param(answer("Content-Length: 2", status="HTTP/1.1 100 Continue"), id="an interim answer"),
        pytest.param(answer("Content-Length: 2", status="HTTP/2 200"), id="another version"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="another protocol"),
        pytest.param(b"x" * (MAX_HEAD_BYTES + 1), id="a head without end"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_remedy(data: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        read_answer(data)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        pytest.param("unix:///run/m", Address(name="member", path="/run/m"), id="a unix socket"),
        pytest.param("http://10.0.0.1:8080", Address("10.0.0.1:8080", host="10.0.0.1", port=8080), id="host and port"),
        pytest.param(
            "https://member.example", Address("member.example", host="member.example", port=443, tls=True), id="TLS"
        ),
        pytest.param(
            "http://[::1]:80/m/1/", Address("[::1]:80", host="::1", port=80, prefix="/m/1"), id="behind a path"
        ),
    ],
)
def test_endpoints(endpoint: str, expected: Address) -> None:
    assert Address.of(endpoint) == expected


def test_any_other_endpoint_is_refused() -> None:
    with pytest.raises(ProtocolError, match="neither"):
        Address.of("ftp://member")


def test_a_request_with_a_body_announces_its_length() -> None:
    address = Address.of("http://member:1/prefix")
    head = b"POST /prefix/v1/bind HTTP/1.1\r\nHost: member:1\r\n"
    fields = b"Content-Type: application/json\r\nContent-Length: 2\r\n"
    assert address.request("POST", "/v1/bind", b"{}") == head + fields + b"\r\n{}"
    assert address.request("GET", "/v1/state", b"") == b"GET /prefix/v1/state HTTP/1.1\r\nHost: member:1\r\n\r\n"
