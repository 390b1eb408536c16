"""Settings: what is read from flags and variables, and what is said of those that cannot be used."""

from pathlib import Path

import pytest

from leasegrid_operator.errors import SettingsError
from leasegrid_operator.settings import LogFormat, Settings, TlsMode, provision_spec, read_settings

ADDRESS = {"LEASEGRID_ADVERTISED_ADDRESS": "http://10.0.0.7:8080"}


def test_every_setting_but_the_advertised_address_has_a_default() -> None:
    settings = read_settings({}, ADDRESS)

    assert settings.namespaces == ()
    assert settings.identity
    assert settings.own_namespace == "default"
    assert settings.hints_address == "http://10.0.0.7:8080/v1/hints"


def test_members_send_hints_to_the_service_where_there_is_one() -> None:
    settings = read_settings({}, {**ADDRESS, "LEASEGRID_SERVICE_ADDRESS": "http://leasegrid-operator.grid.svc:8080"})

    assert settings.hints_address == "http://leasegrid-operator.grid.svc:8080/v1/hints"


def test_a_flag_goes_before_its_variable() -> None:
    settings = read_settings(
        {"broker_port": "9000", "log_format": None},
        {**ADDRESS, "LEASEGRID_BROKER_PORT": "1", "LEASEGRID_LOG_FORMAT": "text"},
    )

    assert settings.broker_port == 9000
    assert settings.log_format is LogFormat.TEXT


def test_the_advertised_address_is_the_brokers_own_where_that_is_one_host() -> None:
    assert read_settings({}, {"LEASEGRID_BROKER_HOST": "127.0.0.9"}).advertised_address == "http://127.0.0.9:8080"


def test_namespaces_are_names_with_commas_between() -> None:
    assert read_settings({}, {**ADDRESS, "LEASEGRID_NAMESPACES": "team-a, team-b,"}).namespaces == ("team-a", "team-b")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        pytest.param("NAMESPACES", "Team_A", "'Team_A' is no name of a namespace", id="a namespace in capitals"),
        pytest.param("BROKER_PORT", "70000", "is no port", id="a port past the last"),
        pytest.param(
            "BROKER_PORT", "tcp://10.96.0.3:8080", "enableServiceLinks: false", id="the variable of a Service's link"
        ),
        pytest.param("ADVERTISED_ADDRESS", "broker:8080", "write http://HOST:PORT", id="an address without scheme"),
        pytest.param("LOG_LEVEL", "loud", "is none of debug, info, warning, error", id="an unknown level"),
        pytest.param("MEMBER_PULL_POLICY", "Sometimes", "Always, IfNotPresent, Never", id="an unknown policy"),
        pytest.param("MAX_MEMBERS_PER_LEASE", "0", "no whole number of at least 1", id="a limit of nothing"),
    ],
)
def test_names_the_variable_and_what_it_takes_for(name: str, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match="LEASEGRID_") as refused:
        read_settings({}, {**ADDRESS, f"LEASEGRID_{name}": text})

    assert f"LEASEGRID_{name}: " in refused.value.cause
    assert said in refused.value.cause


def test_all_faults_are_told_at_once_and_a_flag_by_the_flags_name() -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({"broker_port": "x"}, {"LEASEGRID_LOG_LEVEL": "y"})

    assert "--broker-port: " in refused.value.cause
    assert "LEASEGRID_LOG_LEVEL: " in refused.value.cause


def test_nobody_can_be_sent_to_a_wildcard() -> None:
    with pytest.raises(SettingsError, match=r"nobody can be sent to '0\.0\.0\.0'"):
        read_settings({}, {})


def test_the_shape_of_provisioned_members_is_that_of_the_pool_in_the_template(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(
        "apiVersion: leasegrid.dev/v1alpha1\nkind: InstancePool\nmetadata: {name: provisioned}\n"
        "spec: {resource: CPU, resources: {cpu: '4', memory: 3Gi}}\n"
    )

    assert provision_spec(Settings(provision_template=template)).resources.slots == 4
    assert provision_spec(Settings()).resources.slots == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "No such file", id="that is not there"),
        pytest.param("a: [", "YAML cannot be read", id="that is no YAML"),
        pytest.param(
            "apiVersion: leasegrid.dev/v1alpha1\nkind: InstancePool\nmetadata: {name: p}\nspec: {resource: GPU}\n",
            "spec.resource",
            id="with a fault in a field",
        ),
        pytest.param("", "template.yaml", id="that is empty"),
        pytest.param(
            "apiVersion: leasegrid.dev/v1alpha1\nkind: Lease\nmetadata: {name: l}\nspec: {poolRefs: [{name: p}]}\n",
            "template.yaml",
            id="of another kind",
        ),
    ],
)
def test_says_what_is_wrong_with_a_template(text: str | None, said: str, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    if text is not None:
        template.write_text(text)

    with pytest.raises(SettingsError) as refused:
        provision_spec(Settings(provision_template=template))

    assert said in refused.value.cause


FILES = {"TLS": "files", "TLS_CERT": "/tls/tls.crt", "TLS_KEY": "/tls/tls.key", "TLS_CA": "/tls/ca.crt"}


def tls_settings(**changes: str) -> Settings:
    """Settings with TLS by files, changed."""
    said = {"ADVERTISED_ADDRESS": "https://10.0.0.7:8080", **FILES, **changes}
    return read_settings({}, {f"LEASEGRID_{name}": text for name, text in said.items() if text})


def test_without_a_word_there_is_no_tls() -> None:
    assert read_settings({}, ADDRESS).tls is TlsMode.OFF


def test_members_look_for_the_services_name_in_a_certificate_that_was_made_before_the_replica() -> None:
    service = {"SERVICE_ADDRESS": "https://grid.system.svc:8080"}

    assert tls_settings(**service).broker_name == "grid.system.svc"
    assert tls_settings(TLS_NAMES="grid.example, other", **service).broker_name == "grid.example"
    own = {"TLS": "self-made", "TLS_CERT": "", "TLS_KEY": "", "TLS_CA": ""}
    assert tls_settings(**own, **service).broker_name == "", "one that is made here names each address"


def test_the_brokers_own_address_is_https_with_tls() -> None:
    given = {"LEASEGRID_BROKER_HOST": "127.0.0.9", "LEASEGRID_TLS": "self-made"}

    assert read_settings({}, given).advertised_address == "https://127.0.0.9:8080"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"TLS": "yes"}, "is none of off, self-made, files", id="an unknown mode"),
        pytest.param({"TLS_KEY": ""}, "LEASEGRID_TLS_KEY: --tls files needs it", id="files without a key"),
        pytest.param({"TLS": "self-made"}, "only --tls files reads it", id="files that nobody reads"),
        pytest.param({"TLS": "off", "TLS_CONFIG_MAP": "ca"}, "nothing to keep without --tls", id="nothing to publish"),
        pytest.param({"ADVERTISED_ADDRESS": "http://a:1"}, "write https://HOST:PORT", id="an address without TLS"),
        pytest.param({"SERVICE_ADDRESS": "http://a:1"}, "--service-address: ", id="a Service without TLS"),
    ],
)
def test_says_what_does_not_fit_together_of_tls(changes: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        tls_settings(**changes)

    assert said in refused.value.cause
