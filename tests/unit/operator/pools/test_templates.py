"""What counts as drift."""

from dataclasses import replace

import pytest

from leasegrid_operator.pools.templates import MemberSettings, template_hash
from tests.unit.operator.pools.examples import BLOCK, SETTINGS, pool_spec


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"resources": {"cpu": "4"}}, id="resources"),
        pytest.param({"requests": {"cpu": "50m"}}, id="requests"),
        pytest.param({"reuse": "Replace"}, id="reuse"),
        pytest.param({"template": {"labels": {"a": "b"}}}, id="the template"),
        pytest.param(BLOCK, id="kind and storage"),
    ],
)
def test_a_change_of_what_members_are_is_drift(fields: dict[str, object]) -> None:
    assert template_hash(pool_spec(**fields), SETTINGS) != template_hash(pool_spec(), SETTINGS)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"targetSize": 9, "minSize": 1, "maxSize": 30}, id="sizes"),
        pytest.param({"warmupGraceSeconds": 1, "readyTTLSeconds": 1, "maxClaimsPerMember": 3}, id="times and counts"),
        pytest.param({"operatingMode": "Draining", "rollout": {"strategy": "Rolling"}}, id="the mode of operation"),
        pytest.param({"reuse": "Reset", "resources": {"cpu": "2", "memory": "2048Mi"}}, id="a default that is written"),
    ],
)
def test_a_change_of_what_the_pool_does_is_none(fields: dict[str, object]) -> None:
    assert template_hash(pool_spec(**fields), SETTINGS) == template_hash(pool_spec(), SETTINGS)


@pytest.mark.parametrize(
    ("settings", "drift"),
    [
        pytest.param(replace(SETTINGS, image="leasegrid:2"), True, id="another image is"),
        pytest.param(replace(SETTINGS, notify="http://elsewhere/v1/hints"), False, id="another address is not"),
        pytest.param(replace(SETTINGS, fabric_key="other"), False, id="another key is not"),
        pytest.param(replace(SETTINGS, tls=True), True, id="TLS is"),
    ],
)
def test_of_the_operators_settings(settings: MemberSettings, drift: bool) -> None:
    assert (template_hash(pool_spec(), settings) != template_hash(pool_spec(), SETTINGS)) is drift


def test_of_an_authority_that_members_are_told_of() -> None:
    first, second = (replace(SETTINGS, tls=True, notify_ca=text) for text in ("first", "second"))

    assert template_hash(pool_spec(), first) != template_hash(pool_spec(), second)
