"""What is read of the ConfigMaps and Secrets that a job names."""

import base64
import hashlib
from collections.abc import Callable

import pytest

from leasegrid_operator.jobs import supplying
from leasegrid_operator.jobs.supplying import Body, bucket_options_of, content_of, docker_config_of
from tasklet_runner.plan.types import Source

URI = "configmap://code/tile.wasm"
KEYS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "it\n"}


def secret(**data: str) -> Body:
    return {"data": {key.replace("DOT", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}}


@pytest.mark.parametrize(
    "config_map",
    [
        pytest.param({"data": {"tile.wasm": "text"}}, id="text"),
        pytest.param({"binaryData": {"tile.wasm": base64.b64encode(b"text").decode()}}, id="bytes"),
    ],
)
def test_a_source_stands_in_a_config_map_as_text_or_as_bytes(config_map: Body) -> None:
    digest = hashlib.sha256(b"text").hexdigest()
    assert content_of(config_map, Source(uri=URI)) == content_of(config_map, Source(uri=URI, digest=digest)) == b"text"


def test_of_a_secret_only_what_enters_buckets_is_taken() -> None:
    assert bucket_options_of(secret(**KEYS, AWS_REGION="eu", PASSWORD="x")) == {  # noqa: S106 - taken by nobody
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": "it",
        "AWS_REGION": "eu",
    }
    assert bucket_options_of(secret(AWS_SKIP_SIGNATURE="true")) == {"AWS_SKIP_SIGNATURE": "true"}


def test_a_login_is_the_document_that_kubectl_makes() -> None:
    assert docker_config_of(secret(DOTdockerconfigjson="{}")) == b"{}"


@pytest.mark.unhappy("a ConfigMap or a Secret without what a job needs")
@pytest.mark.parametrize(
    ("read", "words"),
    [
        pytest.param(
            lambda: content_of({"data": {"a": "1"}}, Source(uri=URI)),
            "has no key tile.wasm .it has: a.: add it",
            id="a key that is not there",
        ),
        pytest.param(lambda: content_of({}, Source(uri=URI)), "it has: none", id="no keys at all"),
        pytest.param(
            lambda: content_of({"data": {"tile.wasm": "x"}}, Source(uri=URI, digest="0" * 64)),
            "has under tile.wasm the SHA-256 [0-9a-f]{64}.*, the job says 0000",
            id="another hash",
        ),
        pytest.param(lambda: docker_config_of(secret(config="x")), "no key .dockerconfigjson", id="no logins"),
        pytest.param(lambda: bucket_options_of(secret(AWS_ACCESS_KEY_ID="me")), "lacks keys", id="half of the keys"),
        pytest.param(lambda: bucket_options_of({}), "lacks keys", id="an empty Secret"),
        pytest.param(lambda: bucket_options_of({"data": {"AWS_REGION": "/w=="}}), "is no text", id="bytes for a text"),
    ],
)
def test_what_is_lacking_is_told_with_what_to_do(read: Callable[[], object], words: str) -> None:
    with pytest.raises(supplying.WrongObjectError, match=words):
        read()
