"""Nonces that a holder signs over plain HTTP: each is good once, for a minute, and strangers cannot use up memory.

A nonce is base64url of its expiry (8 bytes, milliseconds of the member's monotonic clock), 16 random bytes and the
first 16 bytes of HMAC-SHA-256 (RFC 2104) over both, under a key of this process. So nothing is kept of a nonce until a
holder has signed it; then it is remembered as used until it would have expired.
"""

import hashlib
import hmac
import secrets
import struct

from tasklet_runner.wire.errors import SignatureError
from tasklet_runner.wire.signed import decode_base64url, encode_base64url

NONCE_SECONDS = 60.0
_MAC_BYTES = 16
_BODY_BYTES = 24


class Nonces:
    """Of one member process. `now` is monotonic, in seconds."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._used: dict[str, float] = {}

    def issue(self, now: float) -> str:
        """A new nonce."""
        body = struct.pack(">Q", int((now + NONCE_SECONDS) * 1000)) + secrets.token_bytes(16)
        return encode_base64url(body + self._mac(body))

    def redeem(self, nonce: str, now: float) -> bool:
        """True once for each nonce that this process issued less than a minute ago."""
        try:
            data = decode_base64url(nonce)
        except SignatureError:
            return False
        body, mac = data[:_BODY_BYTES], data[_BODY_BYTES:]
        if len(body) != _BODY_BYTES or not hmac.compare_digest(mac, self._mac(body)):
            return False
        expires = struct.unpack(">Q", body[:8])[0] / 1000
        self._used = {used: until for used, until in self._used.items() if now < until}
        if now >= expires or nonce in self._used:
            return False
        self._used[nonce] = expires
        return True

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:_MAC_BYTES]
