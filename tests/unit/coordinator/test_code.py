"""Compiled code on its way between members."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.coordinator.blobs import BlobFile
from tasklet_runner.coordinator.code import CodeVault
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.work import CODE_KEY_INFO, Blob
from tests.support.small_disk import run_on_small_disk

FILL = """
import sys
from pathlib import Path
from tasklet_runner.coordinator.blobs import BlobWriter
from tasklet_runner.wire.errors import StateDirectoryError

small = Path(sys.argv[1])
writer = BlobWriter(small / "blob")
try:
    for _ in range(64):
        writer.write(b"x" * 65536)
    writer.finish()
except StateDirectoryError as error:
    print(error)
print("left:", [path.name for path in small.iterdir()])
"""


def shared(vault: CodeVault, code: bytes) -> BlobFile:
    """Code as it comes from a member, in pieces of two bytes."""
    digest = hashlib.sha256(code).hexdigest()
    pieces = [Blob(digest, len(code), offset, code[offset : offset + 2]) for offset in range(0, len(code), 2)]
    receipt = vault.receive(pieces[0], "member")
    whole = [receipt.add(piece) for piece in pieces][-1]
    assert whole is not None
    return whole


def test_only_the_member_itself_can_open_the_code_key(tmp_path: Path) -> None:
    member = X25519PrivateKey.generate()
    sealed = CodeVault(tmp_path, bytes(32)).sealed_for(member.public_key().public_bytes_raw()).sealed
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    assert suite.decrypt(sealed, member, CODE_KEY_INFO) == bytes(32)


def test_code_that_was_kept_is_found_by_the_next_job(tmp_path: Path) -> None:
    vault = CodeVault(tmp_path)
    kept = vault.keep("module", shared(vault, b"native code"))
    assert CodeVault(tmp_path).find("module") == kept
    assert kept.path.read_bytes() == b"native code"
    assert vault.find("other") is None


def test_newer_code_of_a_module_replaces_the_older(tmp_path: Path) -> None:
    vault = CodeVault(tmp_path)
    vault.keep("module", shared(vault, b"old"))
    newer = vault.keep("module", shared(vault, b"newer"))
    assert vault.find("module") == newer
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "second",
    [Blob("d" * 64, 4, 3, b"x"), Blob("e" * 64, 4, 2, b"xy"), Blob("d" * 64, 4, 2, b"xy")],
    ids=["a piece out of order", "a piece of another blob", "bytes with another digest"],
)
def test_shared_code_that_does_not_fit_together_is_refused_and_leaves_nothing(tmp_path: Path, second: Blob) -> None:
    first = Blob("d" * 64, 4, 0, b"ab")
    receipt = CodeVault(tmp_path).receive(first, "member")
    assert receipt.add(first) is None
    with pytest.raises(ProtocolError):
        receipt.add(second)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_of_the_blob_stays(tmp_path: Path) -> None:
    said = run_on_small_disk(FILL, tmp_path / "small", megabytes=1)

    assert "small takes no more: " in said
    assert "XDG_STATE_HOME" in said
    assert said.endswith("left: []\n")
