"""Signed statements as JSON Web Signatures.

Format: JWS compact serialisation (RFC 7515) with EdDSA over Ed25519 (RFC 8037). The protected header is fixed for
each kind of statement, `{"alg":"EdDSA","typ":"leasegrid-<kind>+jws"}`, and compared whole: there is no algorithm to
choose and a statement of one kind never passes for another.
"""

import base64
import binascii
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import SignatureError

Statement = TypeVar("Statement", bound=msgspec.Struct)

MAX_STATEMENT_BYTES = 64 * 1024
"""A capability for 64 members has about 8 KiB; anything larger than this is refused unread."""


def encode_base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """The bytes of `encode_base64url`; raises SignatureError for anything that it could not have written."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError("not base64url text", remedy="send the statement as it was issued") from error
    if encode_base64url(data) != text:
        raise SignatureError("base64url text that is not canonical", remedy="send the statement as it was issued")
    return data


def public_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The 32 raw bytes of the public key in base64url: how keys stand in resources and statements."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return encode_base64url(public.public_bytes_raw())


def public_key(text: str) -> Ed25519PublicKey:
    """The key that `public_text` wrote; raises SignatureError when it is none."""
    try:
        return Ed25519PublicKey.from_public_bytes(decode_base64url(text))
    except ValueError as error:
        raise SignatureError("not an Ed25519 public key", remedy="32 raw bytes in base64url") from error


def sign(statement: msgspec.Struct, key: Ed25519PrivateKey) -> str:
    """The statement as compact JWS; its kind is the name of its class."""
    signed = f"{_header(type(statement))}.{encode_base64url(msgspec.json.encode(statement))}"
    return f"{signed}.{encode_base64url(key.sign(signed.encode('ascii')))}"


def verify(text: str, kind: type[Statement], key: Ed25519PublicKey) -> Statement:
    """The statement of that kind, if this key signed it.

    Raises:
        SignatureError: malformed, of another kind, too large, or not signed by this key.
    """
    header, payload, signature = _split(text)
    if header != _header(kind):
        raise SignatureError(f"not a {kind.__name__} statement", remedy="send a statement of the right kind")
    try:
        key.verify(decode_base64url(signature), f"{header}.{payload}".encode("ascii"))
        return msgspec.json.decode(decode_base64url(payload), type=kind)
    except InvalidSignature as error:
        raise SignatureError(f"the {kind.__name__} is not signed by the expected key") from error
    except UNREADABLE as error:
        raise SignatureError(f"the {kind.__name__} has a payload that cannot be read: {error}") from error


def _split(text: str) -> tuple[str, str, str]:
    if len(text) > MAX_STATEMENT_BYTES or not text.isascii():
        raise SignatureError(
            "a statement is ASCII text of at most 64 KiB", remedy="send the statement as it was issued"
        )
    parts = text.split(".")
    if len(parts) != 3:
        raise SignatureError(
            "a statement has three parts with dots between", remedy="send the statement as it was issued"
        )
    return parts[0], parts[1], parts[2]


def _header(kind: type[msgspec.Struct]) -> str:
    return encode_base64url(f'{{"alg":"EdDSA","typ":"leasegrid-{kind.__name__.lower()}+jws"}}'.encode("ascii"))
