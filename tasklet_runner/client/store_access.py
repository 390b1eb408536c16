"""A way into a job's store, sealed to whoever asked for it; see `wire.store_access`."""

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError, SignatureError
from tasklet_runner.wire.signed import decode_base64url, encode_base64url
from tasklet_runner.wire.store_access import ACCESS_INFO, StoreAccess

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal_access(access: StoreAccess, asked: str) -> str:
    """The answer for whoever showed the public key `asked`. Raises ProtocolError: it is none."""
    try:
        public = X25519PublicKey.from_public_bytes(decode_base64url(asked))
    except (ValueError, SignatureError) as error:
        raise ProtocolError("that is no X25519 public key in base64url", remedy="show one of 32 bytes") from error
    return encode_base64url(_SUITE.encrypt(msgspec.msgpack.encode(access), public, ACCESS_INFO))


class AccessKey:
    """A key pair for one question and its answer."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = encode_base64url(self._private.public_key().public_bytes_raw())

    def open(self, sealed: str) -> StoreAccess:
        """The answer. Raises ProtocolError when it was sealed to another key, or cannot be read."""
        try:
            opened = _SUITE.decrypt(decode_base64url(sealed), self._private, ACCESS_INFO)
            return msgspec.msgpack.decode(opened, type=StoreAccess)
        except (InvalidTag, ValueError, SignatureError, *UNREADABLE) as error:
            raise ProtocolError("the way into the store is not sealed to this key", remedy="ask again") from error
