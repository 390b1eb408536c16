"""docs/api.md from the models: every field with its type, default and meaning, and the rules across fields."""

from collections.abc import Iterator

from leasegrid.api.cel import OBJECT_RULE, RULES
from leasegrid.api.common import API_VERSION, Model
from leasegrid.api.definitions import CATEGORY, KINDS, Kind
from leasegrid.api.schema import Schema, default_of, schema_of, summary
from leasegrid.api.shapes import fields_of, model_of

_HEAD = f"""# The API: {API_VERSION}

Made from the models in `leasegrid/api/` by `make generate`; change them, not this file. `kubectl explain` has the same.

Sizes are Kubernetes quantities (`512Mi`, `2Gi`), CPU too (`500m`, `2`). What is not given has its default; fields
without one in the table are optional and empty unless they are **required**. Objects of all kinds are namespaced and
refer to others of their own namespace only. `kubectl get {CATEGORY}` lists all kinds.

The API server refuses what breaks a rule below. Cycles among tasks and references in arguments that name nothing are
found by `leasegrid validate` as well, which tells all faults at once.
"""


def reference() -> str:
    """The whole document, as Markdown."""
    told: set[type[Model]] = set()
    parts = [_HEAD, "| kind | short name | what it is |\n| --- | --- | --- |"]
    parts[1] += "".join(
        f"\n| [{kind.name}](#{kind.name.lower()}) | `{kind.short_name}` | {summary(kind.model)} |" for kind in KINDS
    )
    parts += [part for kind in KINDS for part in _kind(kind, told)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _kind(kind: Kind, told: set[type[Model]]) -> Iterator[str]:
    yield f"## {kind.name}"
    yield f"{summary(kind.model)}\n\nShort name `{kind.short_name}`. Rule: {OBJECT_RULE.message}."
    for part in ("spec", "status"):
        model = model_of(fields_of(kind.model)[part].annotation)
        if model is not None:
            yield from _tables(model, f"{kind.name} {part}", told, written=part == "spec")


def _tables(model: type[Model], title: str, told: set[type[Model]], *, written: bool) -> Iterator[str]:
    """The table of a model, then those of the models in its fields that have none yet."""
    told.add(model)
    yield f"### {title}"
    yield summary(model)
    yield _table(model, written=written)
    if rules := RULES.get(model):
        yield "\n".join(["Rules:", "", *(f"- {rule.message}." for rule in rules)])
    for field in fields_of(model).values():
        inner = model_of(field.annotation)
        if inner is not None and inner not in told:
            yield from _tables(inner, inner.__name__, told, written=written)


def _table(model: type[Model], *, written: bool) -> str:
    properties = schema_of(model, written=written)["properties"]
    if not isinstance(properties, dict):
        raise TypeError("the properties of a model are a mapping")
    rows = ["| field | type | default | what it means |", "| --- | --- | --- | --- |"]
    for name, field in sorted(fields_of(model).items(), key=lambda one: not one[1].is_required()):
        default = "**required**" if field.is_required() else _default(default_of(field) if written else None)
        kind = _type(properties[name], model_of(field.annotation))
        rows.append(f"| `{name}` | {kind} | {default} | {_cell(field.description or '')} |")
    return "\n".join(rows)


def _type(schema: Schema, inner: type[Model] | None) -> str:
    if inner is not None:
        name = f"[{inner.__name__}](#{inner.__name__.lower()})"
        return f"list of {name}" if schema["type"] == "array" else name
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "enum" in schema and isinstance(schema["enum"], list):
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema["type"] == "array" and isinstance(schema["items"], dict):
        return f"list of {_type(schema['items'], None)}"
    return {"object": "mapping of text", "string": "text"}.get(str(schema["type"]), str(schema["type"]))


def _default(value: object) -> str:
    if value is None or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
