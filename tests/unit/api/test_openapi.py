"""The broker's description: every route, every reference, and nothing that is not there."""

import re

import msgspec
import pytest

from leasegrid.api.openapi import openapi_document, openapi_json
from tasklet_runner.wire.broker import ROUTES, Door, Route

DOCUMENT = openapi_document()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: str(route.name))
def test_a_route_is_described_with_its_credentials_and_refusals(route: Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]

    assert operation["operationId"] == route.name
    assert bool(operation["security"]) is (route.door is not Door.OPEN)
    assert {"200", "429"} <= set(operation["responses"])
    assert {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"} == set(
        re.findall(r"{(\w+)}", route.path)
    )


def test_every_reference_leads_somewhere_and_every_schema_is_used_and_described() -> None:
    references = set(re.findall(rb'"#/components/schemas/(\w+)"', msgspec.json.encode(DOCUMENT)))
    schemas = DOCUMENT["components"]["schemas"]

    assert {name.decode() for name in references} == set(schemas)
    assert all(schema["description"] for schema in schemas.values())
    assert schemas["LeaseRequest"]["properties"]["count"]["minimum"] == 1
    assert schemas["LeaseRequest"]["additionalProperties"] is False


def test_it_is_written_the_same_again() -> None:
    assert openapi_json() == openapi_json()
