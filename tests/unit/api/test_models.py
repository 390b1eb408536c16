"""The models as an API: described, without floats, with the documented defaults."""

from collections.abc import Iterator

import pytest
from pydantic.fields import FieldInfo

from leasegrid.api.common import Model
from leasegrid.api.job import Job
from leasegrid.api.lease import Lease, LeaseSpec
from leasegrid.api.pool import DEFAULT_POOL_ANNOTATION, InstancePool, InstancePoolSpec, MemberResources
from leasegrid.api.shapes import fields_of, model_of
from leasegrid.api.taskgraph import TaskGraph


def walk(model: type[Model], seen: set[type[Model]]) -> Iterator[tuple[str, FieldInfo]]:
    if model in seen:
        return
    seen.add(model)
    for name, field in fields_of(model).items():
        yield f"{model.__name__}.{name}", field
        inner = model_of(field.annotation)
        if inner is not None:
            yield from walk(inner, seen)


FIELDS = {name: field for kind in (InstancePool, Lease, Job, TaskGraph) for name, field in walk(kind, set())}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_says_what_it_is_in_a_sentence(name: str) -> None:
    assert FIELDS[name].description
    assert "float" not in str(FIELDS[name].annotation)


def test_all_models_were_walked() -> None:
    assert {"Tasklet.wallSeconds", "Schedule.timeZone", "LeaseReceipt.unverified", "FilesInput.globs"} <= set(FIELDS)


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        pytest.param({"count": 50}, 50, id="is all of them"),
        pytest.param({"count": 50, "elastic": True}, 1, id="is one when it grows"),
        pytest.param({"count": 50, "minCount": 7}, 7, id="is what it says"),
    ],
)
def test_the_minimum_of_a_lease(spec: dict[str, object], least: int) -> None:
    assert LeaseSpec.model_validate(spec).least == least


@pytest.mark.parametrize(
    ("cpu", "slots"), [pytest.param("500m", 1, id="one at least"), pytest.param("2500m", 2, id="whole cores")]
)
def test_the_slots_of_a_member_are(cpu: str, slots: int) -> None:
    assert MemberResources.model_validate({"cpu": cpu}).slots == slots


@pytest.mark.parametrize(
    ("spec", "reused"),
    [
        pytest.param({}, True, id="CPU members are"),
        pytest.param({"reuse": "Replace"}, False, id="single-use ones are not"),
        pytest.param({"resource": "Block"}, False, id="those with data are not"),
    ],
)
def test_members_are_used_again(spec: dict[str, object], reused: bool) -> None:
    assert InstancePoolSpec.model_validate(spec).reused is reused


def test_a_pool_is_made_the_default_by_its_annotation() -> None:
    document = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "InstancePool", "metadata": {"name": "p"}, "spec": {}}
    assert not InstancePool.model_validate(document).is_default

    marked = {**document, "metadata": {"name": "p", "annotations": {DEFAULT_POOL_ANNOTATION: "true"}}}
    assert InstancePool.model_validate(marked).is_default


def test_sizes_are_written_as_quantities() -> None:
    written = InstancePoolSpec().model_dump(mode="json", by_alias=True)

    assert written["resources"] == {"cpu": "2", "memory": "2Gi"}
    assert written["readyTTLSeconds"] == 14400
