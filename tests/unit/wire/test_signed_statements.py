"""Signed statements: only the right kind, by the right key, unchanged, is believed."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire import signed
from tasklet_runner.wire.errors import SignatureError
from tasklet_runner.wire.statements import Capability, Confirm, MemberGrant, Retire

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
CONFIRM = Confirm(lease_uid="u", member="m", incarnation="i", epoch=3)


def test_a_statement_is_read_back_as_it_was_signed() -> None:
    assert signed.verify(signed.sign(CONFIRM, KEY), Confirm, KEY.public_key()) == CONFIRM


def test_a_capability_lists_its_members() -> None:
    members = (MemberGrant("a", "i", 1), MemberGrant("b", "j", 2))
    capability = Capability(lease_uid="u", holder_key="k", members=members, issued_at=1.0, deadline=2.0, expires_at=3.0)

    assert signed.verify(signed.sign(capability, KEY), Capability, KEY.public_key()).members == members


def _tampered(text: str) -> str:
    header, payload, signature = text.split(".")
    body = signed.decode_base64url(payload).replace(b'"epoch":3', b'"epoch":4')
    return f"{header}.{signed.encode_base64url(body)}.{signature}"


def _unreadable() -> str:
    class Confirm(msgspec.Struct):
        member: int = 1

    return signed.sign(Confirm(), KEY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(signed.sign(CONFIRM, OTHER), "not signed by the expected key", id="signed by another key"),
        pytest.param(_tampered(signed.sign(CONFIRM, KEY)), "not signed by the expected key", id="changed on its way"),
        pytest.param(
            signed.sign(Retire(member="m", incarnation="i", epoch=3), KEY), "not a Confirm", id="of another kind"
        ),
        pytest.param(_unreadable(), "cannot be read", id="with a payload that is none"),
        pytest.param("a.b", "three parts", id="of two parts"),
        pytest.param("a" * (signed.MAX_STATEMENT_BYTES + 1), "at most 64 KiB", id="larger than any statement"),
        pytest.param("ä.b.c", "ASCII", id="with letters that are not ASCII"),
        pytest.param(signed.sign(CONFIRM, KEY)[:-1] + "!", "base64url", id="with a signature that is not base64url"),
    ],
)
def test_a_statement_is_refused_that_is(text: str, message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        signed.verify(text, Confirm, KEY.public_key())


def test_a_public_key_is_read_back_from_its_text() -> None:
    text = signed.public_text(KEY)

    assert text == signed.public_text(KEY.public_key())
    assert signed.public_key(text).public_bytes_raw() == KEY.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("AA", id="too short"),
        pytest.param("*", id="not base64url"),
        pytest.param("AB", id="not canonical"),
    ],
)
def test_a_text_is_no_public_key_that_is(text: str) -> None:
    with pytest.raises(SignatureError):
        signed.public_key(text)
