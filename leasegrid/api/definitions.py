"""The CustomResourceDefinitions: names, columns and subresources of each kind around the schema of its model."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from leasegrid.api.cel import OBJECT_RULE
from leasegrid.api.common import API_VERSION, Model
from leasegrid.api.job import Job
from leasegrid.api.lease import Lease
from leasegrid.api.pool import InstancePool
from leasegrid.api.schema import Schema, schema_of, summary
from leasegrid.api.shapes import fields_of, model_of
from leasegrid.api.taskgraph import TaskGraph

GROUP, VERSION = API_VERSION.split("/")
CATEGORY = "leasegrid"
Column = dict[str, str | int]


def column(name: str, path: str, description: str, kind: str = "integer", *, wide: bool = False) -> Column:
    """A column of `kubectl get`; `wide`: of `-o wide` alone. `kind` is integer, string or date."""
    shown = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**shown, **({"priority": 1} if wide else {})}


def condition(name: str, *, field: str = "status", title: str = "") -> Column:
    """A column with a part of one condition: its status, or its reason."""
    path = f'.status.conditions[?(@.type=="{name}")].{field}'
    return column(title or name, path, f"The {field} of the condition {name}.", "string")


AGE = column("Age", ".metadata.creationTimestamp", "Time since it was created.", "date")


@dataclass(frozen=True)
class Kind:
    """One kind: its model, its names, its columns, and whether it can be scaled."""

    model: type[Model]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    scalable: bool = False

    @property
    def name(self) -> str:
        """The word in `kind`."""
        return self.model.__name__

    @property
    def file_name(self) -> str:
        """The name of its file in crds/."""
        return f"{GROUP}_{self.plural}.yaml"


_RUN_COLUMNS = (
    condition("Complete"),
    condition("Failed"),
    condition("Progressing", field="reason", title="Reason"),
    column("Done", ".status.chunks.succeeded", "Chunks with an output."),
    column("Total", ".status.chunks.total", "All chunks."),
    column("Workers", ".status.workers", "Members that work for it now."),
    column("Failures", ".status.chunks.failed", "Chunks that ended with a fault.", wide=True),
    column("Results", ".status.resultLocation", "Where the outputs are.", "string", wide=True),
    AGE,
)

KINDS = (
    Kind(
        InstancePool,
        "instancepools",
        "lgpool",
        (
            column("Resource", ".spec.resource", "What its members offer.", "string"),
            column("Target", ".status.effectiveTarget", "Members to keep warm now."),
            column("Warm", ".status.members.ready", "Members that can be claimed."),
            column("Claimed", ".status.members.claimed", "Members under lease."),
            condition("Ready"),
            condition("Ready", field="reason", title="Reason"),
            column("Mode", ".spec.operatingMode", "Active, Paused or Draining.", "string", wide=True),
            column("Max", ".spec.maxSize", "Most live members.", wide=True),
            AGE,
        ),
        scalable=True,
    ),
    Kind(
        Lease,
        "leases",
        "lglease",
        (
            column("Count", ".spec.count", "Members wanted."),
            condition("Bound"),
            condition("Bound", field="reason", title="Reason"),
            column("Holder", ".spec.holderIdentity", "Who holds it.", "string"),
            column("Expires", ".status.expireTime", "When it ends unless renewed.", "string"),
            column("Queue", ".status.queuePosition", "Place in the queue, from 1.", wide=True),
            column("Purpose", ".spec.purpose", "What for.", "string", wide=True),
            AGE,
        ),
    ),
    Kind(Job, "jobs", "lgjob", _RUN_COLUMNS),
    Kind(TaskGraph, "taskgraphs", "lggraph", _RUN_COLUMNS),
)
"""All kinds, in the order in which people meet them."""


def definition_of(kind: Kind) -> Schema:
    """The CustomResourceDefinition of one kind, as it stands in its file. Raises SchemaError."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": _names(kind), "versions": [_version(kind)]},
    }


def _names(kind: Kind) -> Schema:
    return {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
        "shortNames": [kind.short_name],
        "categories": [CATEGORY],
    }


def _version(kind: Kind) -> Schema:
    subresources: dict[str, Mapping[str, str]] = {"status": {}}
    if kind.scalable:
        subresources["scale"] = {
            "specReplicasPath": ".spec.targetSize",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(kind.model)},
        "subresources": subresources,
        "additionalPrinterColumns": list(kind.columns),
    }


def _root(model: type[Model]) -> Schema:
    fields = fields_of(model)
    spec, status = (_part(fields[name], written=name == "spec") for name in ("spec", "status"))
    properties = {
        "apiVersion": {"type": "string", "description": f"{API_VERSION}: the version of this schema."},
        "kind": {"type": "string", "description": f"{model.__name__}: the kind of this object."},
        "metadata": {"type": "object"},
        "spec": spec,
        "status": status,
    }
    return {
        "type": "object",
        "description": summary(model),
        "properties": properties,
        "required": ["spec"],
        "x-kubernetes-validations": [OBJECT_RULE.written()],
    }


def _part(field: FieldInfo, *, written: bool) -> Schema:
    model = model_of(field.annotation)
    if model is None:
        raise TypeError("spec and status are models")
    return {**schema_of(model, written=written), "description": field.description}
