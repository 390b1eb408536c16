"""Nonces for proofs: each serves once, and those that nobody uses cost no memory.

A nonce carries its own time and a keyed BLAKE2 code (RFC 7693) under a secret that this process alone has; only used
ones are remembered, until they would be too old anyway. A nonce of another replica, or of a process before this one, is
unknown here, and its holder is given a fresh one.
"""

import hashlib
import hmac
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable

from tasklet_runner.wire.errors import OverloadedError, RefusedError, SignatureError
from tasklet_runner.wire.signed import decode_base64url, encode_base64url

_STAMP = struct.Struct(">Q8s")
_CODE_BYTES = 16


class Nonces:
    """Gives nonces out and takes each once. `draw` gives so many random bytes."""

    def __init__(
        self, lifetime_seconds: float, most_used: int, draw: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._lifetime = lifetime_seconds
        self._most_used = most_used
        self._draw = draw
        self._secret = draw(32)
        self._used: OrderedDict[str, float] = OrderedDict()

    def issue(self, now: float) -> str:
        """A nonce that serves once from now on; `now` is monotonic."""
        stamp = _STAMP.pack(int(now * 1000), self._draw(8))
        return encode_base64url(stamp + self._code(stamp))

    def spend(self, nonce: str, now: float) -> None:
        """Take a nonce; call it when everything else of the proof has been found right.

        Raises RefusedError(StaleNonce) for one that is unknown here, too old or used, OverloadedError when too many
        are remembered already.
        """
        self._forget(now)
        if not self._is_fresh(nonce, now) or nonce in self._used:
            raise RefusedError(
                "StaleNonce", "the proof's nonce is used, too old or of another replica", remedy="sign the one given"
            )
        if len(self._used) >= self._most_used:
            raise OverloadedError("too many proofs", remedy="try again in a second", retry_after=1.0)
        self._used[nonce] = now

    def _is_fresh(self, nonce: str, now: float) -> bool:
        try:
            data = decode_base64url(nonce)
        except SignatureError:
            return False
        stamp, code = data[: _STAMP.size], data[_STAMP.size :]
        if len(stamp) != _STAMP.size or not hmac.compare_digest(code, self._code(stamp)):
            return False
        milliseconds: int = _STAMP.unpack(stamp)[0]
        return now - milliseconds / 1000 <= self._lifetime

    def _forget(self, now: float) -> None:
        # Spent in this order; each was issued before it was spent, so it is too old by then.
        while self._used and now - next(iter(self._used.values())) > self._lifetime:
            self._used.popitem(last=False)

    def _code(self, stamp: bytes) -> bytes:
        return hashlib.blake2b(stamp, key=self._secret, digest_size=_CODE_BYTES).digest()
