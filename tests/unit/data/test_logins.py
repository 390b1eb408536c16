"""Which login a docker-config has for a registry."""

import base64
import json

import pytest

from tasklet_runner.data.logins import Login, find_login

AUTH = base64.b64encode(b"a:b:c").decode()


@pytest.mark.parametrize(
    ("config", "registry", "expected"),
    [
        pytest.param({"auths": {"r.io": {"auth": AUTH}}}, "r.io", Login("a", "b:c"), id="as docker login writes it"),
        pytest.param({"auths": {"https://r.io": {"auth": AUTH}}}, "r.io", Login("a", "b:c"), id="with a scheme"),
        pytest.param(
            {"auths": {"r.io": {"username": "u", "password": "p"}}},
            "r.io",
            Login("u", "p"),
            id="in plain, as in a Secret",
        ),
        pytest.param({"auths": {"r.io": {"auth": AUTH}}}, "other.io", None, id="another registry"),
        pytest.param({"auths": {"r.io": {}}}, "r.io", None, id="an entry without login"),
        pytest.param({}, "r.io", None, id="nothing"),
    ],
)
def test_the_login_of_a_registry(config: object, registry: str, expected: Login | None) -> None:
    assert find_login(json.dumps(config).encode(), registry) == expected


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param(b"no json", "cannot be read", id="no JSON"),
        pytest.param(b'{"auths": {"r.io": {"auth": "%"}}}', "cannot be read", id="no base64"),
        pytest.param(b'{"auths": [1]}', "cannot be read", id="no table"),
        pytest.param(
            b'{"auths": {"r.io": {}}, "credsStore": "desktop"}', "docker-credential-desktop", id="kept by a program"
        ),
    ],
)
def test_a_login_that_cannot_be_had_is_said(document: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        find_login(document, "r.io")
