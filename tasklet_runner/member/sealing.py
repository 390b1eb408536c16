"""Compiled code between the members of one job, and keys that never leave the member's parent process.

The job's code key comes sealed to this member (HPKE base mode, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM). Code
travels as a 12-byte nonce and AES-256-GCM ciphertext; the associated data bind it to its module and to the engine's
fingerprint, so that nothing else is ever loaded as native code. Plain code stands only in sealed memfds.
"""

import fcntl
import mmap
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.jobs import ORDER_INFO
from tasklet_runner.wire.work import CODE_KEY_INFO

NONCE_BYTES = 12
KEY_BYTES = 32

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class SealingKey:
    """The member's key pair for one process life."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self._suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

    @property
    def public(self) -> bytes:
        """The 32 raw bytes that stand in `Hello`."""
        return self._private.public_key().public_bytes_raw()

    def open(self, sealed: bytes) -> bytes:
        """The code key that was sealed to this member. Raises ProtocolError when it was sealed to another."""
        try:
            key = self._suite.decrypt(sealed, self._private, CODE_KEY_INFO)
        except (InvalidTag, ValueError) as error:
            raise ProtocolError("the code key is not sealed to this member", remedy="seal it to Hello's key") from error
        if len(key) != KEY_BYTES:
            raise ProtocolError(f"a code key has {KEY_BYTES} bytes, not {len(key)}")
        return key

    def open_order(self, sealed: bytes) -> bytes:
        """The order to a coordinator that was sealed to this member. Raises ProtocolError."""
        try:
            opened: bytes = self._suite.decrypt(sealed, self._private, ORDER_INFO)
        except (InvalidTag, ValueError) as error:
            raise ProtocolError(
                "the order is not sealed to this member", remedy="seal it to the key that it shows"
            ) from error
        return opened


def warm_up() -> None:
    """Use each algorithm once, with keys that are thrown away, so that processes forked later find all of it ready."""
    key = Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b""), b"")
    SealingKey()


def associated_data(module: str, fingerprint: str) -> bytes:
    """What encrypted code is bound to: the module's SHA-256 and the engine's fingerprint."""
    return f"{module}\n{fingerprint}".encode("ascii")


def encrypt_code(key: bytes, code_fd: int, bound_to: bytes) -> bytes:
    """The native code behind a descriptor, for other members of the job."""
    nonce = os.urandom(NONCE_BYTES)
    with mmap.mmap(code_fd, 0, prot=mmap.PROT_READ) as code, memoryview(code) as view:
        return nonce + AESGCM(key).encrypt(nonce, view, bound_to)


def decrypt_code(key: bytes, encrypted: bytes, bound_to: bytes) -> int | None:
    """A sealed memfd with the native code; None when it does not open (another key, module or engine)."""
    try:
        code = AESGCM(key).decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        return None
    return sealed_memfd("leasegrid-code", code)


def sealed_memfd(name: str, data: bytes) -> int:
    """A memory file that nobody can change any more, not even by truncating it under a mapping."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor
