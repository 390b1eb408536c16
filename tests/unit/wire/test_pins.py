"""Endpoints that say whose key has to be there."""

import hashlib

import pytest

from tasklet_runner.wire.pins import UNPROVEN, incarnation_of, pinned, split_pin

NAME = "0123456789abcdef0123456789abcdef"


def test_an_incarnation_is_half_of_the_certificates_sha256_which_tools_show() -> None:
    assert incarnation_of(b"certificate") == hashlib.sha256(b"certificate").hexdigest()[:32]


@pytest.mark.parametrize(
    ("endpoint", "address", "pin"),
    [
        pytest.param(f"https://10.0.0.7:8080#{NAME}", "https://10.0.0.7:8080", NAME, id="a member that is known"),
        pytest.param(f"https://h:1#{UNPROVEN}", "https://h:1", UNPROVEN, id="a member that nobody has met"),
        pytest.param(f"unix:///run/f.sock#{NAME}", "unix:///run/f.sock", NAME, id="a port-forward"),
        pytest.param("http://10.0.0.7:8080", "http://10.0.0.7:8080", "", id="a member without TLS"),
        pytest.param("unix:///home/c#/x.sock", "unix:///home/c#/x.sock", "", id="a path with that character"),
        pytest.param("https://h:1#ABCDEF", "https://h:1#ABCDEF", "", id="something else behind it"),
        pytest.param("", "", "", id="no address yet"),
    ],
)
def test_an_endpoint_is_an_address_and_a_pin(endpoint: str, address: str, pin: str) -> None:
    assert split_pin(endpoint) == (address, pin)
    assert pinned(address, pin) == endpoint


def test_a_pin_takes_the_place_of_another() -> None:
    assert pinned(f"https://h:1#{UNPROVEN}", NAME) == f"https://h:1#{NAME}"
