"""Makes what of the chart follows from other files: `python tools/chart.py [--check]`, in `make chart` and `make lint`.

- values.schema.json and the table in README.md from values.yaml: the comment above a key tells what it is, the default
  its type; a line `# +schema: {...}` (YAML) adds what the default does not tell. Keys that are not there are refused.
- templates/crd-*.yaml from crds/: definitions as templates are upgraded with the release and may be kept at its end.
- the schema of a pool's spec in the values from the definition of InstancePool: a typo there is refused, too.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "leasegrid"
CRDS = ROOT / "crds"
MARK = "+schema:"
BEGIN, END = "<!-- values: begin, by make chart -->", "<!-- values: end -->"
KEPT = ("type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "required")
"""Words of a definition's schema that mean the same in JSON Schema."""

Schema = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """A key of values.yaml: `path` with dots, what its comment says, its default, what `+schema` adds."""

    path: str
    told: str
    default: object
    added: Schema
    is_group: bool


def main(arguments: list[str]) -> int:
    """Write the files, or with --check say which are not as they would be written; returns the exit status."""
    made = dict(generated())
    if "--check" not in arguments:
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    stale += [path for path in CHART.glob("templates/crd-*.yaml") if path not in made]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: not what values.yaml and crds/ say (run: make chart)")
    return 1 if stale else 0


def generated() -> Iterator[tuple[Path, str]]:
    """Every file that is made, and its text. Raises SystemExit for a value without a comment."""
    values = read_values((CHART / "values.yaml").read_text(encoding="utf-8"))
    pool = yaml.safe_load((CRDS / "leasegrid.dev_instancepools.yaml").read_text(encoding="utf-8"))
    yield CHART / "values.schema.json", json.dumps(schema(values, pool), indent=1) + "\n"
    readme = CHART / "README.md"
    yield readme, with_table(readme.read_text(encoding="utf-8"), values)
    for path in sorted(CRDS.glob("*.yaml")):
        plural = path.stem.removeprefix("leasegrid.dev_")
        yield CHART / "templates" / f"crd-{plural}.yaml", crd_template(path.read_text(encoding="utf-8"))


def read_values(text: str) -> list[Value]:
    """The keys in their order; groups stand before what is in them."""
    return list(_keys(yaml.compose(text), text.splitlines(), ""))


def schema(values: list[Value], pool: Schema) -> Schema:
    """The JSON Schema (draft 7) of the values."""
    root: Schema = {"type": "object", "additionalProperties": False, "properties": {"global": {"type": "object"}}}
    places = {"": root}
    for value in values:
        parent, _, name = value.path.rpartition(".")
        if value.is_group:
            place: Schema = {"type": "object", "additionalProperties": False, "properties": {}, **value.added}
            places[value.path] = place
        else:
            place = _leaf(value)
        places[parent]["properties"][name] = place
    spec = strict(pool["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    definitions = {"poolSpec": spec, "pool": _pool(), "egress": _egress(), "issuer": _issuer(), "tls": _tls()}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root, "definitions": definitions}


def strict(found: Schema) -> Schema:
    """A definition's schema as JSON Schema that refuses keys which it does not name."""
    if found.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    made = {word: found[word] for word in KEPT if word in found}
    if "properties" in found:
        made["properties"] = {name: strict(one) for name, one in found["properties"].items()}
        made["additionalProperties"] = False
    elif isinstance(found.get("additionalProperties"), dict):
        made["additionalProperties"] = strict(found["additionalProperties"])
    if "items" in found:
        made["items"] = strict(found["items"])
    return made


def with_table(readme: str, values: list[Value]) -> str:
    """The README with its table of values anew."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    rows = [f"| `{one.path}` | `{_short(one.default)}` | {_cell(one.told)} |" for one in values if not one.is_group]
    table = "\n".join(["| value | default | what it does |", "| --- | --- | --- |", *rows])
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def crd_template(text: str) -> str:
    """A definition as a template. It has to hold no braces of Helm's."""
    if "{{" in text:
        raise SystemExit("a definition holds {{, which Helm would read")
    lines = text.splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.startswith("  name: ")) + 1
    labels = '  labels: {{- include "leasegrid.labels" . | nindent 4 }}\n'
    keep = "  {{- if .Values.crds.keep }}\n  annotations: {helm.sh/resource-policy: keep}\n  {{- end }}\n"
    body = "".join(line for line in lines[:at] if not line.startswith("#")) + labels + keep + "".join(lines[at:])
    return "{{- /* Made from crds/ by `make chart`. */}}\n{{- if .Values.crds.enabled }}\n" + body + "{{- end }}\n"


def _keys(node: Any, lines: list[str], prefix: str) -> Iterator[Value]:  # noqa: ANN401 - a node of untyped PyYAML
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        told, added = _comment(lines, key.start_mark.line)
        is_group = isinstance(value, yaml.MappingNode) and bool(value.value) and not value.flow_style
        is_group = is_group and not added.pop("freeform", False)
        if not is_group and not told:
            raise SystemExit(f"charts/leasegrid/values.yaml: {path} has no comment that says what it does")
        yield Value(path, told, _default(value), added, is_group)
        if is_group:
            yield from _keys(value, lines, f"{path}.")


def _comment(lines: list[str], at: int) -> tuple[str, Schema]:
    """The comment right above a line, and what its `+schema` says."""
    words: list[str] = []
    added: Schema = {}
    while at and lines[at - 1].lstrip().startswith("#"):
        at -= 1
        line = lines[at].lstrip().removeprefix("#").strip()
        if line.startswith(MARK):
            added = yaml.safe_load(line.removeprefix(MARK))
        else:
            words.insert(0, line)
    return " ".join(words), added


def _default(node: Any) -> object:  # noqa: ANN401 - a node of untyped PyYAML
    loader = yaml.SafeLoader("")
    return loader.construct_object(node, deep=True)


def _leaf(value: Value) -> Schema:
    if "$ref" in value.added:
        return value.added
    kinds = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return {"description": value.told, "type": kinds[type(value.default)], **value.added}


def _pool() -> Schema:
    name = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
    properties = {
        "name": name,
        "namespace": name,
        "default": {"type": "boolean"},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "spec": {"$ref": "#/definitions/poolSpec"},
    }
    return {"type": "object", "additionalProperties": False, "required": ["name"], "properties": properties}


def _egress() -> Schema:
    text = {"type": "string"}
    properties = {
        "namespace": text,
        "pool": text,
        "cidrs": {"type": "array", "minItems": 1, "items": text},
        "ports": {"type": "array", "items": {"type": "object"}},
    }
    return {"type": "object", "additionalProperties": False, "required": ["cidrs"], "properties": properties}


def _issuer() -> Schema:
    properties = {word: {"type": "string", "minLength": 1} for word in ("name", "kind", "group")}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _tls() -> Schema:
    """What fits together: each mode with what it reads, and nothing given that would be passed over in silence."""
    rules = [
        _where("CertManager", "issuerRef", {"required": ["name"]}, {"maxProperties": 0}),
        _where("Secret", "secretName", {"minLength": 1}, {"const": ""}),
        {
            "if": {"properties": {"mode": {"const": "SelfMade"}, "names": {"maxItems": 0}}},
            "else": {"properties": {"enabled": {"const": True}}},
        },
    ]
    return {"allOf": rules}


def _where(mode: str, name: str, then: Schema, otherwise: Schema) -> Schema:
    return {
        "if": {"properties": {"mode": {"const": mode}}},
        "then": {"properties": {name: then}},
        "else": {"properties": {name: otherwise}},
    }


def _short(default: object) -> str:
    return json.dumps(default, separators=(", ", ": "))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
