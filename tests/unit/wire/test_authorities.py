"""Certificates are shown and judged without a file on any disk, and what cannot be used is refused in words."""

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasklet_runner.wire.authorities import serving_context, trusting
from tasklet_runner.wire.errors import InputError

BEGAN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
ENDS = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


def certificate(host: str) -> tuple[str, bytes]:
    """A certificate that vouches for itself, and with its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(BEGAN)
        .not_valid_after(ENDS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return public.decode(), public + private


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> str | None:
    """The version that both ends agree on, over no network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=host)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (asking, answering):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return asking.version()


def test_who_trusts_a_certificate_shakes_hands_with_its_owner() -> None:
    public, pem = certificate("broker")

    assert shake(trusting(public), serving_context(pem), "broker") == "TLSv1.3"


@pytest.mark.parametrize("host", ["broker", "other"], ids=["of another authority", "of another name"])
def test_nobody_else_is_trusted(host: str) -> None:
    public, pem = certificate("broker")
    trusted = public if host == "other" else certificate("broker")[0]

    with pytest.raises(ssl.SSLCertVerificationError):
        shake(trusting(trusted), serving_context(pem), host)


def test_what_is_no_authority_is_refused() -> None:
    with pytest.raises(InputError, match="give certificates in PEM"):
        trusting("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")


def test_a_certificate_and_the_key_of_another_are_refused() -> None:
    public, _ = certificate("broker")
    _, other = certificate("broker")
    key = other[other.index(b"-----BEGIN PRIVATE KEY") :]

    with pytest.raises(InputError, match="give a certificate and its key in PEM"):
        serving_context(public.encode() + key)
