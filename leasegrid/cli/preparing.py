"""From the files of a command line to what is to be made and run; all faults at once, and nothing started."""

from dataclasses import dataclass

from leasegrid.api.job import Job
from leasegrid.api.lease import Lease
from leasegrid.api.loading import FieldFault, Resource, load_documents
from leasegrid.api.pool import InstancePool
from leasegrid.api.taskgraph import TaskGraph
from leasegrid.cli.documents import Document
from leasegrid.rules.graph_planning import plan_graph
from leasegrid.rules.planning import plan_job
from leasegrid.rules.unsupported import Place
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import UnsupportedError


@dataclass(frozen=True)
class Prepared:
    """The objects of all files by kind, in the order of their documents; or the `faults` that forbid to start.

    `plans`: those of Jobs and TaskGraphs.
    """

    pools: tuple[InstancePool, ...] = ()
    leases: tuple[Lease, ...] = ()
    plans: tuple[Plan, ...] = ()
    faults: tuple[FieldFault, ...] = ()


def prepare(documents: list[Document], place: Place = Place.MACHINE) -> Prepared:
    """Read and plan everything, to be run at `place`. Raises UnsupportedError that names all that cannot be done."""
    loaded = [(document, load_documents(document.text, document.origin)) for document in documents]
    faults = [fault for _, one in loaded for fault in one.faults]
    objects = [(document, found) for document, one in loaded for found in one.objects]
    faults.extend(_repeated(objects))
    if faults:
        return Prepared(faults=tuple(faults))
    return Prepared(
        pools=tuple(found for _, found in objects if isinstance(found, InstancePool)),
        leases=tuple(found for _, found in objects if isinstance(found, Lease)),
        plans=_planned([(document, found) for document, found in objects if isinstance(found, Job | TaskGraph)], place),
    )


def _planned(found: list[tuple[Document, Job | TaskGraph]], place: Place) -> tuple[Plan, ...]:
    plans: list[Plan] = []
    troubles: list[UnsupportedError] = []
    for document, one in found:
        try:
            plans.append(_plan(one, document.base, place))
        except UnsupportedError as error:
            which = "job" if isinstance(one, Job) else "task graph"
            troubles.append(UnsupportedError(f"{which} {one.metadata.name}: {error.cause}", remedy=error.remedy))
    if troubles:
        raise UnsupportedError("; ".join(trouble.cause for trouble in troubles), remedy=troubles[0].remedy)
    return tuple(plans)


def _plan(one: Job | TaskGraph, base: str, place: Place) -> Plan:
    if isinstance(one, Job):
        return plan_job(one, base=base, place=place)
    return plan_graph(one, base=base, place=place)


def _repeated(objects: list[tuple[Document, Resource]]) -> list[FieldFault]:
    """Objects of the same name in different files; those of one kind within one file are found by their reader.

    A Job and a TaskGraph are told apart by their names alone, as each has a store and results of its name.
    """
    first: dict[tuple[str, str, str], tuple[Document, str]] = {}
    faults: list[FieldFault] = []
    for document, found in objects:
        kind, name = found.kind, found.metadata.name
        family = "Job" if kind == "TaskGraph" else kind
        other = first.setdefault((family, found.metadata.namespace, name), (document, kind))
        if other[0] is not document or other[1] != kind:
            message = f"the {other[1]} of {other[0].origin} has the same name"
            faults.append(FieldFault(document.origin, 0, 1, kind, name, "metadata.name", message))
    return faults
