"""A nonce is good once, for a minute, in the process that issued it."""

import pytest

from tasklet_runner.member.nonces import NONCE_SECONDS, Nonces

NOW = 1000.0


def test_a_nonce_is_good_once() -> None:
    nonces = Nonces(b"k" * 32)
    nonce = nonces.issue(NOW)
    assert [nonces.redeem(nonce, NOW + 1), nonces.redeem(nonce, NOW + 2)] == [True, False]


@pytest.mark.unhappy("a nonce that comes too late")
def test_a_nonce_expires_and_is_not_good_again_after_it_was_forgotten() -> None:
    nonces = Nonces(b"k" * 32)
    nonce, unused = nonces.issue(NOW), nonces.issue(NOW)
    assert nonces.redeem(nonce, NOW)
    assert not nonces.redeem(nonce, NOW + NONCE_SECONDS + 1)
    assert not nonces.redeem(unused, NOW + NONCE_SECONDS)


@pytest.mark.unhappy("a nonce that this process did not issue")
@pytest.mark.parametrize("nonce", ["", "invented", "AAAA" * 13, "not base64url!"])
def test_an_invented_nonce_is_not_good(nonce: str) -> None:
    assert not Nonces(b"k" * 32).redeem(nonce, NOW)


@pytest.mark.unhappy("a nonce of another process")
def test_a_nonce_of_another_process_is_not_good() -> None:
    assert not Nonces(b"a" * 32).redeem(Nonces(b"b" * 32).issue(NOW), NOW)
