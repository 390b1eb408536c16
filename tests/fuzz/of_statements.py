"""Signed statements: as texts that were changed on their way, and as payloads that whoever has the key signed."""

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.client.store_access import AccessKey
from tasklet_runner.member.sealing import SealingKey
from tasklet_runner.wire import statements
from tasklet_runner.wire.errors import LeaseGridError, SignatureError
from tasklet_runner.wire.jobs import ORDER_INFO, Coordinate
from tasklet_runner.wire.signed import encode_base64url, public_key, public_text, sign, verify
from tasklet_runner.wire.work import CODE_KEY_INFO
from tests.fuzz.decoder import Decoder, pure

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WHO = {"lease_uid": "L", "member": "m0", "incarnation": "inc", "epoch": 1}
_STORE = {"store": "L", "term": 1, "expires_at": 2e9}

STATEMENTS: tuple[msgspec.Struct, ...] = (
    statements.Capability(
        lease_uid="L",
        holder_key=public_text(KEY),
        members=tuple(statements.MemberGrant(f"m{number}", "inc", number) for number in range(8)),
        issued_at=1e9,
        deadline=1e9 + 60,
        expires_at=1e9 + 50,
        ttl_seconds=120,
        last_deadline=1e9 + 600.5,
    ),
    statements.Bind(**WHO, holder_key=public_text(KEY), issued_at=1e9, deadline=1e9 + 60),  # type: ignore[arg-type]  # words and a number
    statements.Confirm(**WHO),  # type: ignore[arg-type]  # as above
    statements.Release(**WHO),  # type: ignore[arg-type]  # as above
    statements.Retire(member="m0", incarnation="inc", epoch=1),
    statements.RequestProof(method="POST", path="/v1/x?y=1", body="b", capability="c", nonce="n"),
    statements.Challenge(nonce="n", member="m0", incarnation="inc"),
    statements.PutGrant(**_STORE, key_prefix="main/0/1", max_bytes=10_000),  # type: ignore[arg-type]  # as above
    statements.GetGrant(**_STORE, key_prefix="main/0/1"),  # type: ignore[arg-type]  # as above
    statements.CheckpointGrant(**_STORE, key="main/0", epoch=2, max_bytes=10_000),  # type: ignore[arg-type]  # as above
    Coordinate(**WHO, term=3, digest="d"),  # type: ignore[arg-type]  # as above
)
_KINDS = tuple(type(statement) for statement in STATEMENTS)
SIGNED = {sign(statement, KEY).encode(): statement for statement in STATEMENTS}


def _as_text(data: bytes) -> bool:
    """A text that was not issued is no statement, whatever of it was changed."""
    text, accepted = data.decode("latin-1"), 0
    for kind in _KINDS:
        try:
            statement = verify(text, kind, KEY.public_key())
        except SignatureError:
            continue
        assert SIGNED.get(data) == statement, "a text that was not issued was accepted"
        accepted += 1
    assert accepted <= 1
    return accepted == 1


def _as_payload(data: bytes) -> bool:
    """Signed by the right key: of the kind that it says, or refused."""
    return sum(_signed_as(kind, data) for kind in _KINDS) > 0


def _signed_as(kind: type[msgspec.Struct], data: bytes) -> bool:
    header = sign(_BY_KIND[kind], KEY).split(".")[0]
    signed = f"{header}.{encode_base64url(data)}"
    text = f"{signed}.{encode_base64url(KEY.sign(signed.encode()))}"
    try:
        statement = verify(text, kind, KEY.public_key())
    except SignatureError:
        return False
    assert verify(sign(statement, KEY), kind, KEY.public_key()) == statement
    return True


_BY_KIND = dict(zip(_KINDS, STATEMENTS, strict=True))


def _as_key(data: bytes) -> bool:
    text = data.decode("latin-1")
    try:
        key = public_key(text)
    except SignatureError:
        return False
    assert public_text(key) == text
    return True


def _as_access(data: bytes) -> bool:
    try:
        AccessKey().open(data.decode("latin-1"))
    except LeaseGridError:
        return False
    raise AssertionError("what was sealed to another key was opened")


_MEMBER = SealingKey()
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PUBLIC = X25519PublicKey.from_public_bytes(_MEMBER.public)
_SEALED = frozenset({_SUITE.encrypt(b"order", _PUBLIC, ORDER_INFO), _SUITE.encrypt(bytes(32), _PUBLIC, CODE_KEY_INFO)})


def _as_sealed(data: bytes) -> bool:
    """What was sealed to a member opens there as what it is, and nothing else does."""
    opened = 0
    for read in (_MEMBER.open_order, _MEMBER.open):
        try:
            read(data)
        except LeaseGridError:
            continue
        opened += 1
    assert opened == (data in _SEALED)
    return opened == 1


DECODERS = (
    Decoder(
        "capabilities and statements", lambda: sorted(SIGNED), pure(_as_text), 700, ("tasklet_runner.wire.signed",)
    ),
    Decoder("payloads of statements", lambda: list(map(msgspec.json.encode, STATEMENTS)), pure(_as_payload), 150),
    Decoder("sealed orders and code keys", lambda: sorted(_SEALED), pure(_as_sealed), 300),
    Decoder("keys", lambda: [public_text(KEY).encode()], pure(_as_key)),
)
