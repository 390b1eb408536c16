"""Nonces: each serves once, here, and in time."""

from collections.abc import Callable

import pytest

from leasegrid_operator.broker.nonces import Nonces
from tasklet_runner.wire.errors import OverloadedError, RefusedError


def test_a_nonce_serves_once() -> None:
    nonces = Nonces(60.0, 10)
    nonce = nonces.issue(100.0)
    nonces.spend(nonce, 101.0)
    with pytest.raises(RefusedError) as refused:
        nonces.spend(nonce, 101.0)
    assert refused.value.reason == "StaleNonce"


def test_a_used_nonce_stays_used_when_it_is_forgotten_because_it_is_too_old_by_then() -> None:
    nonces = Nonces(60.0, 1)
    nonce = nonces.issue(100.0)
    nonces.spend(nonce, 159.0)
    nonces.spend(nonces.issue(220.0), 220.0)
    with pytest.raises(RefusedError):
        nonces.spend(nonce, 220.0)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda nonce: Nonces(60.0, 10).issue(100.0), id="of another replica"),
        pytest.param(lambda nonce: nonce[:-2] + ("AA" if nonce[-2:] != "AA" else "BA"), id="changed"),
        pytest.param(lambda nonce: "", id="empty"),
        pytest.param(lambda nonce: "***", id="not base64url"),
    ],
)
def test_a_nonce_is_refused_that_is(spoil: Callable[[str], str]) -> None:
    nonces = Nonces(60.0, 10)
    with pytest.raises(RefusedError):
        nonces.spend(spoil(nonces.issue(100.0)), 100.0)


def test_a_nonce_that_is_too_old_is_refused() -> None:
    nonces = Nonces(60.0, 10)
    with pytest.raises(RefusedError):
        nonces.spend(nonces.issue(100.0), 161.0)


@pytest.mark.unhappy("more proofs than are remembered: refused until older ones are forgotten, never let through")
def test_used_nonces_are_bounded() -> None:
    nonces = Nonces(60.0, 1)
    first, second = nonces.issue(100.0), nonces.issue(100.0)
    nonces.spend(first, 100.0)
    with pytest.raises(OverloadedError):
        nonces.spend(second, 100.0)
