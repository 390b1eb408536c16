"""The installation's own certificate authority: made by the first replica, kept in a Secret beside the key.

Each replica issues its own server certificate from it, in memory, for the addresses that it has; so nothing is written
when one is renewed, and no replica waits for another.
"""

import base64
import binascii
import ipaddress
import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leasegrid_operator.cluster import Cluster, Object
from leasegrid_operator.errors import AlreadyExistsError, NotFoundError, SettingsError
from leasegrid_operator.logs import Action, log
from leasegrid_operator.resources import SECRETS, ObjectKey

NAME = "leasegrid-operator-tls"
CERTIFICATE_ENTRY, KEY_ENTRY = "ca.crt", "ca.key"
"""Entries of the Secret, in PEM. Who speaks to the broker is given the first alone."""

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=30)
WARNING = timedelta(days=365)
"""So long before its end the authority's age is said in the log at each start."""

CLOCKS_DIFFER = timedelta(hours=1)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Authority:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @classmethod
    def make(cls, now: datetime) -> "Authority":
        """A new one, from now on. It vouches for servers alone."""
        key = generate_private_key(SECP256R1())
        name = _named("leasegrid")
        builder = _builder(name, name, now, AUTHORITY_LIFE).public_key(key.public_key())
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @property
    def pem(self) -> str:
        """The certificate, which is public."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    def issue(self, names: Collection[str], now: datetime) -> bytes:
        """A certificate for a server of these names and addresses, and its new private key, in PEM."""
        key = generate_private_key(SECP256R1())
        subject = _named("leasegrid-broker")
        certificate = (
            _builder(subject, self.certificate.subject, now, SERVER_LIFE)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM) + _written(key)


async def installation_authority(cluster: Cluster, namespace: str) -> Authority:
    """The authority that all replicas share; made when there is none.

    Raises:
        SettingsError: the Secret is there and holds none, or one that is over.
        ClusterError: the Secret can be neither read nor made.
    """
    key, now = ObjectKey(namespace, NAME), datetime.now(UTC)
    try:
        found = authority_in(await cluster.get(SECRETS, key), key)
    except NotFoundError:
        found = await _made(cluster, key, now)
    left = found.certificate.not_valid_after_utc - now
    if left <= timedelta():
        raise SettingsError(f"the authority in the Secret {key} ended {-left} ago", remedy=_remedy(key))
    if left < WARNING:
        log(_logger, logging.WARNING, Action.AUTHORITY_EXPIRES,
            f"the authority in the Secret {key} ends in {left.days} days: {_remedy(key)}",
            namespace=namespace, name=NAME)  # fmt: skip
    return found


def authority_in(secret: Object, key: ObjectKey) -> Authority:
    """The authority in a Secret. Raises SettingsError."""
    try:
        certificate, private = (base64.b64decode(secret["data"][name], validate=True)
                                for name in (CERTIFICATE_ENTRY, KEY_ENTRY))  # fmt: skip
        pair = load_pem_private_key(private, None)
        if not isinstance(pair, EllipticCurvePrivateKey):
            raise TypeError("its key is of another kind")
        return Authority(x509.load_pem_x509_certificate(certificate), pair)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise SettingsError(
            f"the Secret {key} holds no authority in {CERTIFICATE_ENTRY!r} and {KEY_ENTRY!r}: {error}",
            remedy=_remedy(key),
        ) from error


async def _made(cluster: Cluster, key: ObjectKey, now: datetime) -> Authority:
    authority = Authority.make(now)
    try:
        await cluster.create(SECRETS, _secret(authority, key))
    except AlreadyExistsError:  # another replica was faster, or the answer to our own create was lost
        return authority_in(await cluster.get(SECRETS, key), key)
    log(_logger, logging.INFO, Action.KEY_CREATED, "made the installation's authority",
        namespace=key.namespace, name=NAME)  # fmt: skip
    return authority


def _secret(authority: Authority, key: ObjectKey) -> Object:
    data = {CERTIFICATE_ENTRY: authority.pem.encode("ascii"), KEY_ENTRY: _written(authority.key)}
    return {
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {"app.kubernetes.io/managed-by": "leasegrid"},
        },
        "type": "Opaque",
        "immutable": True,
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def _remedy(key: ObjectKey) -> str:
    return (
        f"delete it (kubectl --namespace {key.namespace} delete secret {key.name}), restart the operator, and give "
        "the new ca.crt to who speaks to the broker; members are replaced as they come free"
    )


def _builder(subject: x509.Name, issuer: x509.Name, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _written(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
