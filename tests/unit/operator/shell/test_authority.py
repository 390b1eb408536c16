"""The installation's authority: what it issues, and what of a Secret is believed."""

import base64
import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from leasegrid_operator.authority import CERTIFICATE_ENTRY, KEY_ENTRY, SERVER_LIFE, Authority, authority_in
from leasegrid_operator.cluster import Object
from leasegrid_operator.errors import SettingsError
from leasegrid_operator.resources import ObjectKey
from leasegrid_operator.settings import Settings, TlsMode
from leasegrid_operator.tls import Files, names_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ObjectKey("system", "leasegrid-operator-tls")


def issued(*names: str) -> x509.Certificate:
    """A certificate for a server of these names."""
    return x509.load_pem_x509_certificate(Authority.make(NOW).issue(names, NOW))


def test_a_certificate_says_names_and_addresses_and_serves_only_as_a_servers() -> None:
    certificate = issued("grid.system.svc", "10.1.2.3", "fd00::7")
    said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert said.get_values_for_type(x509.DNSName) == ["grid.system.svc"]
    assert said.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("10.1.2.3"),
        ipaddress.ip_address("fd00::7"),
    ]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.not_valid_before_utc < NOW, "clocks differ"
    assert certificate.not_valid_after_utc == NOW + SERVER_LIFE


def test_a_certificate_is_made_for_every_address_at_which_a_replica_is_asked() -> None:
    settings = Settings(
        tls=TlsMode.SELF_MADE,
        advertised_address="https://10.1.2.3:8080",
        service_address="https://grid.system.svc:8080",
        tls_names=("grid", "10.1.2.3"),
    )

    assert names_of(settings) == ("10.1.2.3", "grid.system.svc", "grid")


@pytest.mark.unhappy("a Secret that somebody has changed")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param({}, "ca.crt", id="without a certificate"),
        pytest.param({CERTIFICATE_ENTRY: "!", KEY_ENTRY: "!"}, "holds no authority", id="that is no base64"),
        pytest.param(
            {name: base64.b64encode(b"x").decode() for name in (CERTIFICATE_ENTRY, KEY_ENTRY)}, "PEM", id="without PEM"
        ),
    ],
)
def test_a_secret_is_refused(data: dict[str, str], said: str) -> None:
    secret: Object = {"data": data}

    with pytest.raises(SettingsError, match=said) as refused:
        authority_in(secret, KEY)
    assert "kubectl --namespace system delete secret leasegrid-operator-tls" in refused.value.remedy


def test_files_are_read_each_time(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    files = Files(Settings(tls=TlsMode.FILES, tls_cert=certificate, tls_key=key))
    for text in ("first", "second"):
        certificate.write_text(text)
        key.write_text("key")
        assert files.latest(NOW + timedelta(days=1)) == f"{text}\nkey".encode()
