"""What has to be there before the operator does anything: our four kinds, served in our version."""

from leasegrid.api.definitions import GROUP, KINDS, VERSION
from leasegrid_operator.cluster import Cluster, Object
from leasegrid_operator.errors import MissingDefinitionError, NotFoundError
from leasegrid_operator.resources import CRDS, ObjectKey

EXIT_CODE = 4
"""Of a process that finds an environment in which it cannot work."""

REMEDY = (
    "install the definitions: kubectl apply --server-side --filename crds/ "
    "(with the chart: helm upgrade --install leasegrid charts/leasegrid --set crds.enabled=true)"
)


async def check_definitions(cluster: Cluster) -> None:
    """Returns when the cluster serves all of our kinds.

    Raises:
        MissingDefinitionError: names each kind that is not served, and the command that installs it.
        ClusterError: the cluster cannot be asked.
    """
    missing = [fault for kind in KINDS if (fault := await _fault(cluster, f"{kind.plural}.{GROUP}"))]
    if missing:
        raise MissingDefinitionError("; ".join(missing), remedy=REMEDY)


async def _fault(cluster: Cluster, name: str) -> str:
    """What is wrong with one definition; empty when it is served."""
    try:
        return fault_of(name, await cluster.get(CRDS, ObjectKey("", name)))
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
