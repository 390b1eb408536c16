"""From the models to structural OpenAPI v3 schemas, as Kubernetes wants them.

What a schema must look like: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(no references, no unions but int-or-string, no `additionalProperties` beside properties, a type everywhere). All else
that pydantic writes is refused here, so that a field which the API server would not understand never gets into a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache

from pydantic import PlainSerializer
from pydantic.fields import FieldInfo

from leasegrid.api.cel import RULES, Rule
from leasegrid.api.common import Condition, Model, Reference
from leasegrid.api.lease import LeaseMember
from leasegrid.api.shapes import fields_of, model_of
from leasegrid.api.taskgraph import Task, TaskStatus
from leasegrid.api.tasklet import EnvironmentVariable, Mount

Schema = dict[str, object]

_KEPT = ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems")
_KNOWN = {
    *_KEPT,
    "type",
    "items",
    "description",
    "default",
    "title",
    "additionalProperties",
    "propertyNames",
    "minProperties",
}
_ITEM_KEYS: Mapping[type[Model], str] = {
    Condition: "type",
    Reference: "name",
    EnvironmentVariable: "name",
    Mount: "mountPath",
    Task: "name",
    TaskStatus: "name",
    LeaseMember: "name",
}
"""Lists whose items have a key: the API server refuses one that stands twice, and appliers merge them item by item."""

_SETS = frozenset({"dependsOn", "from", "cpuFeatures"})
_INT32_MAX = 2**31 - 1


class SchemaError(Exception):
    """A model that has no structural schema; the message names the field and what would be right."""


@dataclass(frozen=True)
class _Place:
    """Where a schema stands: `written` by users (with defaults) or in status; `repeated` below a list."""

    path: str
    written: bool
    repeated: bool = False

    def at(self, name: str) -> "_Place":
        return replace(self, path=f"{self.path}.{name}")

    def error(self, message: str) -> SchemaError:
        return SchemaError(f"{self.path}: {message}")


def schema_of(model: type[Model], *, written: bool = True) -> Schema:
    """The structural schema of a model and all below it. `written`: users write it, so defaults are filled in; a
    status has none, as it says what its writer knows. Raises SchemaError.
    """
    return _object(model, _Place(model.__name__, written))


def _object(model: type[Model], place: _Place) -> Schema:
    properties: Schema = {}
    rules = RULES.get(model, ())
    for name, field in fields_of(model).items():
        inside = [one for one in rules if one.inside and one.field == name]
        properties[name] = _field(model, name, field, place.at(name)) | _validations(inside, place)
    schema: Schema = {"type": "object", "description": summary(model), "properties": properties}
    if required := [name for name, field in fields_of(model).items() if field.is_required()]:
        schema["required"] = required
    return schema | _validations([one for one in rules if not one.inside], place)


def _validations(rules: Sequence[Rule], place: _Place) -> Schema:
    return {"x-kubernetes-validations": [_judged(rule, place) for rule in rules]} if rules else {}


def _judged(rule: Rule, place: _Place) -> dict[str, str]:
    if place.repeated and "oldSelf" in rule.expression:
        raise place.error(f"the rule {rule.message!r} compares with what was, which cannot be found again in a list")
    return rule.written()


def summary(model: type[Model]) -> str:
    """The first paragraph of a model's docstring, in one line."""
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _field(model: type[Model], name: str, field: FieldInfo, place: _Place) -> Schema:
    if not field.description:
        raise place.error("has no description: give Field(description=...)")
    inner = model_of(field.annotation)
    schema = _converted(_raw(model)[name], inner, place)
    schema["description"] = field.description
    if place.written and (default := default_of(field)) is not None:
        schema["default"] = default
    if schema.get("type") == "array":
        schema |= _list_type(name, inner)
    return schema


def default_of(field: FieldInfo) -> object:
    """What the API server fills in, as it stands in YAML; None for nothing. What is empty by default stays away, as it
    would only be noise in every object.
    """
    default = field.default
    if isinstance(default, Model):
        # Written out, as the server judges a default by the rules of its model before it fills in what is below.
        below = {name: default_of(inner) for name, inner in fields_of(type(default)).items()}
        return {name: value for name, value in below.items() if value is not None}
    if isinstance(default, Enum):
        return default.value
    if not isinstance(default, int):
        return None
    writers = [one.func for one in field.metadata if isinstance(one, PlainSerializer)]
    return writers[0](default) if writers else default  # type: ignore[call-arg]  # one of ours, of one argument


@cache
def _raw(model: type[Model]) -> dict[str, Schema]:
    """Each field as pydantic describes it, with references to enums and models resolved to their definitions."""
    written = model.model_json_schema(by_alias=True, ref_template="{model}")
    definitions = written.get("$defs", {})
    return {name: _resolved(raw, definitions) for name, raw in written["properties"].items()}


def _resolved(raw: Schema, definitions: dict[str, Schema]) -> Schema:
    """Without references and without the union with null, which stands for a field that may be left out."""
    options = raw.get("anyOf")
    if isinstance(options, list):
        given = [option for option in options if option != {"type": "null"}]
        raw = {**given[0], **{key: value for key, value in raw.items() if key != "anyOf"}} if len(given) == 1 else raw
    if "$ref" in raw:
        target = definitions[str(raw["$ref"])]
        # A model is described by its own fields, not by pydantic's words for them.
        shape: Schema = {"type": "object"} if "properties" in target else target
        raw = {**shape, **{key: value for key, value in raw.items() if key != "$ref"}}
    items = raw.get("items")
    if isinstance(items, dict):
        raw = {**raw, "items": _resolved(items, definitions)}
    return raw


def _converted(raw: Schema, inner: type[Model] | None, place: _Place) -> Schema:
    if raw.get("x-kubernetes-int-or-string"):
        return _quantity(raw, place)
    if "patternProperties" in raw:
        raw = {**raw, "additionalProperties": next(iter(dict(raw["patternProperties"]).values()))}  # type: ignore[call-overload]
        raw.pop("patternProperties")
    if unknown := set(raw) - _KNOWN:
        raise place.error(f"{', '.join(sorted(unknown))} has no place in a structural schema: change the field's type")
    kind = raw.get("type")
    if kind not in {"string", "integer", "boolean", "array", "object"}:
        raise place.error(f"type {kind} is not for an API: use text, whole numbers, quantities, lists or models")
    schema: Schema = {"type": kind, **{key: raw[key] for key in _KEPT if key in raw}}
    if kind == "integer":
        schema["format"] = "int64" if int(str(raw.get("maximum", _INT32_MAX + 1))) > _INT32_MAX else "int32"
    if kind == "array":
        schema["items"] = _converted(dict(raw["items"]), inner, replace(place, repeated=True))  # type: ignore[call-overload]
    if kind == "object":
        schema |= _mapping(raw, inner, place)
    return schema


def _quantity(raw: Schema, place: _Place) -> Schema:
    schema: Schema = {"x-kubernetes-int-or-string": True, "pattern": raw["pattern"]}
    # Below a list the API server would charge each item for the longest text that a request can hold.
    if "x-kubernetes-validations" in raw and not place.repeated:
        schema["x-kubernetes-validations"] = raw["x-kubernetes-validations"]
    return schema


def _mapping(raw: Schema, inner: type[Model] | None, place: _Place) -> Schema:
    if inner is not None:
        return _object(inner, place)
    if not isinstance(values := raw.get("additionalProperties"), dict):
        raise place.error("is a mapping of anything: write a model, or say what its values are")
    return {"additionalProperties": _converted(values, None, place)}


def _list_type(name: str, inner: type[Model] | None) -> Schema:
    if inner is not None and inner in _ITEM_KEYS:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [_ITEM_KEYS[inner]]}
    return {"x-kubernetes-list-type": "set" if name in _SETS else "atomic"}
