"""Ed25519 pairs kept in the state directory, the fabric's own and those of holders: PKCS #8 in PEM (RFC 5958), mode
0600.
"""

import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tasklet_runner.store.files import sync_directory
from tasklet_runner.wire.errors import StateDirectoryError

FABRIC = "the fabric's key"
"""How messages name the key of the fabric."""


def fabric_key(path: Path, what: str = FABRIC) -> Ed25519PrivateKey:
    """The key at this path; made, durable, when there is none. `what`: how messages name it.

    Raises StateDirectoryError when others may read it, when it is somebody else's, or when it is no such key.
    """
    try:
        return kept_key(path, what)
    except FileNotFoundError:
        return _parsed(path, private_file(path, _new_pem()), what)


def kept_key(path: Path, what: str = FABRIC) -> Ed25519PrivateKey:
    """The key at this path. Raises FileNotFoundError when there is none, else as `fabric_key` does."""
    return _parsed(path, _checked_content(path, what), what)


def private_file(path: Path, content: bytes) -> bytes:
    """Make a file of mode 0600 appear whole and durable, or not at all.

    Returns what stands there afterwards: another process may have been quicker, and then its content counts.
    Raises StateDirectoryError when the disk fails.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        try:
            _write_private(temporary, content)
            path.hardlink_to(temporary)
            sync_directory(path.parent)
        except FileExistsError:
            return path.read_bytes()
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StateDirectoryError(
            f"{path} cannot be made: {error.strerror}", remedy="check the rights and the free space of its directory"
        ) from error
    return content


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _new_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _checked_content(path: Path, what: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateDirectoryError(
            f"{what} {path} cannot be read: {error.strerror}",
            remedy=f"make it a readable file of your own, or delete it: chmod 600 {path}",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        _check_rights(path, os.fstat(descriptor), what)
        try:
            return file.read(4096)
        except OSError as error:
            raise StateDirectoryError(
                f"{what} {path} cannot be read: {error.strerror}", remedy="check the disk"
            ) from error


def _check_rights(path: Path, found: os.stat_result, what: str) -> None:
    if found.st_uid != os.geteuid():
        raise StateDirectoryError(
            f"{what} {path} belongs to user {found.st_uid}",
            remedy="use a state directory of your own: set XDG_STATE_HOME",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StateDirectoryError(
            f"{what} {path} has mode {stat.S_IMODE(found.st_mode):04o}: others can read it",
            remedy=f"chmod 600 {path}; if others may have read it, delete it and a new one is made",
        )


def _parsed(path: Path, content: bytes, what: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise StateDirectoryError(
            f"{what} {path} is damaged: {error}", remedy="delete it and a new one is made"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateDirectoryError(f"{path} is no Ed25519 key", remedy="delete it and a new one is made")
    return key
