"""What has to be there before the operator does anything: our four kinds, served in our version with all of our fields.

A field that the definition does not have is taken off every object in silence: what the operator writes into a status
would be lost, and what people ask for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from leasegrid.api.definitions import GROUP, KINDS, VERSION, Kind, definition_of
from leasegrid_operator.cluster import Cluster, Object
from leasegrid_operator.errors import MissingDefinitionError, NotFoundError
from leasegrid_operator.resources import CRDS, ObjectKey

EXIT_CODE = 4
"""Of a process that finds an environment in which it cannot work."""

REMEDY = (
    "install the definitions: kubectl apply --server-side --filename crds/ "
    "(with the chart: helm upgrade --install leasegrid charts/leasegrid --set crds.enabled=true)"
)


SHOWN = 3
"""So many missing fields are named."""

Schema = Mapping[str, Any]


async def check_definitions(cluster: Cluster) -> None:
    """Returns when the cluster serves all of our kinds.

    Raises:
        MissingDefinitionError: names each kind that is not served, or in part, and the command that installs it.
        ClusterError: the cluster cannot be asked.
    """
    missing = [fault for kind in KINDS if (fault := await _fault(cluster, kind))]
    if missing:
        raise MissingDefinitionError("; ".join(missing), remedy=REMEDY)


async def _fault(cluster: Cluster, kind: Kind) -> str:
    """What is wrong with one definition; empty when it is served."""
    name = f"{kind.plural}.{GROUP}"
    try:
        found = await cluster.get(CRDS, ObjectKey("", name))
        return fault_of(name, found) or age_of(name, found, definition_of(kind))
    except NotFoundError:
        return f"{name} is not installed"


def fault_of(name: str, definition: Object) -> str:
    """What is wrong with a definition as the server has it; empty when it serves our version."""
    versions = definition["spec"]["versions"]
    if not any(version["name"] == VERSION and version["served"] for version in versions):
        served = ", ".join(version["name"] for version in versions if version["served"]) or "none"
        return f"{name} is not served in {VERSION}, but in: {served}"
    conditions = definition.get("status", {}).get("conditions") or ()
    if not any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
        return f"{name} is not established yet"
    return ""


def age_of(name: str, definition: Object, ours: Schema) -> str:
    """What a served definition lacks of ours; empty when nothing does. It may well have more: a newer one does."""
    lacking = list(_lacking(_schema(ours), _schema(definition), ""))
    if not lacking:
        return ""
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    return f"{name} is older than this operator: it lacks {', '.join(lacking[:SHOWN])}{more}"


def _schema(definition: Schema) -> Schema:
    version = next(one for one in definition["spec"]["versions"] if one["name"] == VERSION)
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


def _lacking(ours: Schema, theirs: Schema, path: str) -> Iterator[str]:
    """Paths of the outermost fields that are in ours alone."""
    for name, part in ours.get("properties", {}).items():
        there = theirs.get("properties", {}).get(name)
        if there is None:
            yield f"{path}{name}"
        else:
            yield from _lacking(part, there, f"{path}{name}.")
    if "items" in ours:
        yield from _lacking(ours["items"], theirs.get("items", {}), path)
