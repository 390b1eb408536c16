"""An order to a coordinator, sealed to the one member that is to run it."""

import hashlib

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.jobs import MAX_ORDER_BYTES, ORDER_INFO, CoordinatorOrder
from tasklet_runner.wire.signed import encode_base64url


def seal_order(order: CoordinatorOrder, sealing_key: bytes) -> bytes:
    """The order for the member that showed `sealing_key` (raw X25519). Raises ProtocolError: no key, or too large."""
    try:
        public = X25519PublicKey.from_public_bytes(sealing_key)
    except ValueError as error:
        raise ProtocolError("the member's sealing key is not an X25519 public key") from error
    sealed: bytes = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM).encrypt(
        msgspec.msgpack.encode(order), public, ORDER_INFO
    )
    if len(sealed) > MAX_ORDER_BYTES:
        raise ProtocolError(
            f"the job's plan has {len(sealed):,} bytes, at most {MAX_ORDER_BYTES:,} can be sent",
            remedy="give inputs as lines or files instead of items, and sources by path",
        )
    return sealed


def order_digest(sealed: bytes) -> str:
    """As it stands in the signed statement beside it."""
    return encode_base64url(hashlib.sha256(sealed).digest())
