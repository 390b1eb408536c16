"""The generated definitions as an API: a lint of their own, and what the generator refuses to write."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from leasegrid.api import schema
from leasegrid.api.cel import Rule, unchanged
from leasegrid.api.common import Model
from leasegrid.api.definitions import KINDS, definition_of
from leasegrid.api.job import JobSpec
from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.api.schema import SchemaError, schema_of
from leasegrid.api.shapes import fields_of

JUSTIFIED_FLAGS = {
    "suspend": "as in batch/v1",
    "elastic": "a lease is of one size, or it grows; there is no third way",
    "durable": "a chunk has /durable, or not",
    "gather": "one chunk reads all, or a chunk each",
}
FORBIDDEN = {"anyOf", "oneOf", "allOf", "not", "$ref", "title", "const", "exclusiveMinimum", "exclusiveMaximum"}
UNBOUNDED = {"items"}  # A job's own inputs: as many as an object can hold, and no rule looks at each.


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below, with the path of its field."""
    yield path, node
    for name, below in node.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in node:
            yield from nodes(node[word], f"{path}[]")


def roots() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in KINDS:
        definition: dict[str, Any] = definition_of(kind)
        yield kind.name, definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


NODES = [found for name, root in roots() for found in nodes(root, name)]


def test_no_word_stands_in_a_definition_that_structural_schemas_do_not_know() -> None:
    assert [path for path, node in NODES if FORBIDDEN & set(node)] == []


def test_every_field_of_every_kind_is_described() -> None:
    fields = [(path, node) for path, node in NODES if not path.endswith(("[]", ".metadata"))]

    assert len(fields) > 500
    assert [path for path, node in fields if not node.get("description")] == []


def test_there_is_no_float_and_every_whole_number_has_its_size_and_its_bounds() -> None:
    numbers = [(path, node) for path, node in NODES if node.get("type") in {"integer", "number"}]

    assert {node["type"] for _, node in numbers} == {"integer"}
    assert [path for path, node in numbers if not {"format", "minimum", "maximum"} <= set(node)] == []


def test_a_truth_value_needs_a_reason() -> None:
    flags = {path.rsplit(".", 1)[1] for path, node in NODES if node.get("type") == "boolean"}

    assert flags == set(JUSTIFIED_FLAGS)


def test_every_list_is_bounded_and_says_how_it_is_merged() -> None:
    lists = [(path, node) for path, node in NODES if node.get("type") == "array"]

    assert {path.rsplit(".", 1)[1] for path, node in lists if "maxItems" not in node} == UNBOUNDED
    assert all("x-kubernetes-list-type" in node for _, node in lists)


def test_conditions_are_keyed_by_their_type() -> None:
    conditions = [node for path, node in NODES if path.endswith(".conditions")]

    assert len(conditions) == len(KINDS)
    assert all(node["x-kubernetes-list-type"] == "map" for node in conditions)
    assert all(node["x-kubernetes-list-map-keys"] == ["type"] for node in conditions)


def test_default_sizes_are_quantities_and_a_status_has_no_defaults() -> None:
    defaults = {path: node["default"] for path, node in NODES if "default" in node}

    assert defaults["Job.spec.tasklet.memory"] == "256Mi"
    assert defaults["InstancePool.spec.resources"] == {"cpu": "2", "memory": "2Gi"}
    assert [path for path in defaults if ".status" in path] == []


def test_what_the_server_fills_in_is_what_the_model_has() -> None:
    filled = [
        (field.default, schema.default_of(field))
        for model in (InstancePoolSpec, LeaseSpec, JobSpec)
        for field in fields_of(model).values()
        if isinstance(field.default, Model)
    ]

    assert len(filled) > 5
    for default, written in filled:
        assert type(default).model_validate(written) == default


def test_names_of_kinds_columns_and_subresources() -> None:
    found: dict[str, Any] = {kind.name: definition_of(kind)["spec"] for kind in KINDS}

    assert {name: one["names"]["shortNames"] for name, one in found.items()} == {
        "InstancePool": ["lgpool"],
        "Lease": ["lglease"],
        "Job": ["lgjob"],
        "TaskGraph": ["lggraph"],
    }
    for one in found.values():
        version = one["versions"][0]
        assert (one["group"], one["scope"], one["names"]["categories"]) == (
            "leasegrid.dev",
            "Namespaced",
            ["leasegrid"],
        )
        assert version["subresources"]["status"] == {}
        assert {"Reason", "Age"} <= {column["name"] for column in version["additionalPrinterColumns"]}
    assert found["InstancePool"]["versions"][0]["subresources"]["scale"]["labelSelectorPath"] == ".status.selector"


class Mute(Model):
    """A field without a word about it."""

    size: int


class Weighed(Model):
    """A float."""

    weight: float = Field(description="How much.")


class Open(Model):
    """A mapping of anything."""

    anything: dict[str, object] = Field(description="Whatever.")


class Either(Model):
    """A union."""

    either: int | str = Field(description="One of two.")


class Excluded(Model):
    """A bound that JSON Schema knows and Kubernetes writes otherwise."""

    size: Annotated[int, Field(gt=1)] = Field(description="How many.")


class Item(Model):
    """An item."""

    name: str = Field(description="Its name.")


class Listed(Model):
    """A list of items."""

    many: tuple[Item, ...] = Field(description="Its items.")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        pytest.param(Mute, r"Mute\.size: has no description", id="a field without a description"),
        pytest.param(Weighed, r"Weighed\.weight: type number", id="a float"),
        pytest.param(Open, r"Open\.anything: is a mapping of anything", id="a bare mapping"),
        pytest.param(Either, r"Either\.either: anyOf has no place", id="a union"),
        pytest.param(Excluded, r"Excluded\.size: exclusiveMinimum has no place", id="an exclusive bound"),
    ],
)
def test_the_generator_refuses(model: type[Model], words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        schema_of(model)


def test_the_generator_refuses_a_rule_on_what_was_within_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    rules: dict[type[Model], tuple[Rule, ...]] = {Item: (unchanged("name", "make a new one"),)}
    monkeypatch.setattr(schema, "RULES", rules)

    with pytest.raises(SchemaError, match=r"Listed\.many: the rule"):
        schema_of(Listed)
