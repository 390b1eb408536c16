"""Bodies and names: what is wrong is said with its field."""

import msgspec
import pytest

from leasegrid_operator.broker.requests import check_lease_request, check_names, read_body, read_version
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.leases import LeaseRequest

KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
GOOD = {"requestId": "a", "holderKey": KEY}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"{", "no JSON", id="no JSON"),
        pytest.param(b'{"requestId": "\xff"}', "no JSON", id="not UTF-8"),
        pytest.param(b"[]", "Expected `object`", id="a list"),
        pytest.param(b"{}", "missing required field `requestId`", id="nothing"),
        pytest.param(msgspec.json.encode({**GOOD, "count": 0}), r"\$\.count", id="none of it"),
        pytest.param(msgspec.json.encode({**GOOD, "count": "2"}), r"\$\.count", id="a number as text"),
        pytest.param(msgspec.json.encode({**GOOD, "replicas": 2}), "unknown field `replicas`", id="an unknown field"),
        pytest.param(msgspec.json.encode({**GOOD, "onEmpty": "Wait"}), r"\$\.onEmpty", id="an unknown word"),
        pytest.param(msgspec.json.encode({**GOOD, "pools": [1]}), r"\$\.pools\[0\]", id="a list of other things"),
    ],
)
def test_a_body_is_refused_with_its_field(body: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        read_body(body, LeaseRequest)


def test_all_contradictions_are_said_at_once() -> None:
    request = LeaseRequest(request_id="a", holder_key="short", count=1, min_count=2)
    with pytest.raises(ProtocolError, match="minCount 2 is above count 1; holderKey is not base64url"):
        check_lease_request(request)
    check_lease_request(read_body(msgspec.json.encode(GOOD), LeaseRequest))


@pytest.mark.parametrize(
    ("namespace", "uid"),
    [
        pytest.param("Upper", "u", id="a namespace in capitals"),
        pytest.param("a" * 64, "u", id="a namespace that is too long"),
        pytest.param("default", "../x", id="a uid with a slash"),
        pytest.param("default", "u" * 129, id="a uid that is too long"),
    ],
)
def test_a_name_is_refused_that_is_none(namespace: str, uid: str) -> None:
    with pytest.raises(ProtocolError):
        check_names(namespace, uid)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "one", "\u0661", "9" * 16])
def test_a_version_is_a_whole_number(text: str) -> None:
    with pytest.raises(ProtocolError):
        read_version(text)
    assert read_version("12") == 12
