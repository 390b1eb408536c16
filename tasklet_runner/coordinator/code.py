"""Compiled code of a job, encrypted: one member compiles, all others get what it made.

The key is random for each job (or kept beside the directory on one machine). Members encrypt with AES-256-GCM under
it; the coordinator never decrypts and never runs native code, it only passes blobs on. The key goes to each member
sealed to the key that the member showed when it proved itself: HPKE, RFC 9180, X25519 with HKDF-SHA256 and
AES-256-GCM.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.coordinator.blobs import BlobFile, BlobWriter
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.work import CODE_KEY_INFO, Blob, CodeKey

KEY_BYTES = 32
MAX_CODE_BYTES = 2 * 1024**3
"""No member may fill the coordinator's disk with what it calls compiled code."""

_SUFFIX = ".code"


class CodeVault:
    """The code key of a job, and the directory (it must exist) in which encrypted code is kept.

    With a key and a directory that are kept between jobs, the next job finds the code of the last.
    """

    def __init__(self, directory: Path, key: bytes | None = None) -> None:
        self.directory = directory
        self._key = key if key is not None else os.urandom(KEY_BYTES)
        self._suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

    def sealed_for(self, sealing_key: bytes) -> CodeKey:
        """The key, sealed so that only the member that showed `sealing_key` (raw X25519) can open it."""
        try:
            public = X25519PublicKey.from_public_bytes(sealing_key)
        except ValueError as error:
            raise ProtocolError("the member's sealing key is not an X25519 public key") from error
        return CodeKey(self._suite.encrypt(self._key, public, CODE_KEY_INFO))

    def find(self, module: str) -> BlobFile | None:
        """Encrypted code of the module (SHA-256, hex), if there is any."""
        for path in sorted(self.directory.glob(f"{module}-*{_SUFFIX}")):
            digest = path.name.removesuffix(_SUFFIX).partition("-")[2]
            return BlobFile(path, digest, path.stat().st_size)
        return None

    def receive(self, blob: Blob, owner: str) -> "CodeReceipt":
        """Begin to take code that a member shares; `owner` makes the temporary name unique."""
        if blob.size > MAX_CODE_BYTES:
            raise ProtocolError(f"a member shares {blob.size} bytes of code", remedy="the member is broken; replace it")
        return CodeReceipt(BlobWriter(self.directory / f".{owner}-{os.getpid()}.part"), blob.digest, blob.size)

    def keep(self, module: str, blob: BlobFile) -> BlobFile:
        """Give received code its name; older code of the same module goes."""
        kept = self.directory / f"{module}-{blob.digest}{_SUFFIX}"
        blob.path.replace(kept)
        for other in self.directory.glob(f"{module}-*{_SUFFIX}"):
            if other != kept:
                other.unlink(missing_ok=True)
        return BlobFile(kept, blob.digest, blob.size)


class CodeReceipt:
    """A blob of encrypted code on its way in."""

    def __init__(self, writer: BlobWriter, digest: str, size: int) -> None:
        self._writer = writer
        self._digest = digest
        self._size = size

    def add(self, blob: Blob) -> BlobFile | None:
        """Take the next piece; the whole blob with the last. Raises ProtocolError when they do not fit together."""
        if blob.offset != self._writer.size or blob.digest != self._digest or blob.size != self._size:
            self.abandon()
            raise ProtocolError("pieces of shared code out of order", remedy="the member is broken; replace it")
        self._writer.write(blob.data)
        if self._writer.size < self._size:
            return None
        whole = self._writer.finish()
        if whole.digest != self._digest or whole.size != self._size:
            whole.remove()
            raise ProtocolError("shared code does not have the digest that it names", remedy="replace the member")
        return whole

    def abandon(self) -> None:
        """Forget what came so far."""
        self._writer.abandon()
