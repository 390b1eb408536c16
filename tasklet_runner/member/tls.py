"""The member's own key and certificate, made when its process starts and kept in memory alone.

Nobody signs the certificate and nobody reads its words: the fabric and holders know the member by its hash, which is
the incarnation (see `tasklet_runner.wire.pins`).
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tasklet_runner.wire.authorities import serving_context
from tasklet_runner.wire.pins import incarnation_of

_FROM, _UNTIL = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=365 * 200)
"""Clocks differ, and a member's life is bounded by its leases: whoever pins a key does not look at dates."""


@dataclass(frozen=True)
class OwnKey:
    """What a member serves TLS with, and its incarnation."""

    context: ssl.SSLContext
    incarnation: str

    @classmethod
    def make(cls, name: str) -> "OwnKey":
        """A fresh key; no other process ever has it. `name` is for people who look at the certificate."""
        key = generate_private_key(SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_FROM)
            .not_valid_after(_FROM + _UNTIL)
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        context = serving_context(certificate.public_bytes(Encoding.PEM) + private)
        return cls(context, incarnation_of(certificate.public_bytes(Encoding.DER)))
