"""From the files of a command line to what is to be made and run; all faults at once, and nothing started."""

from dataclasses import dataclass

from leasegrid.api.enums import ResourceKind
from leasegrid.api.job import Job
from leasegrid.api.lease import Lease
from leasegrid.api.loading import FieldFault, Resource, load_documents
from leasegrid.api.pool import InstancePool
from leasegrid.api.taskgraph import TaskGraph
from leasegrid.cli.documents import Document
from leasegrid.rules.planning import plan_job
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import UnsupportedError


@dataclass(frozen=True)
class Prepared:
    """The objects of all files by kind, in the order of their documents; or the `faults` that forbid to start."""

    pools: tuple[InstancePool, ...] = ()
    leases: tuple[Lease, ...] = ()
    plans: tuple[Plan, ...] = ()
    graphs: tuple[TaskGraph, ...] = ()
    faults: tuple[FieldFault, ...] = ()


def prepare(documents: list[Document]) -> Prepared:
    """Read and plan everything. Raises UnsupportedError that names all that this version cannot do."""
    loaded = [(document, load_documents(document.text, document.origin)) for document in documents]
    faults = [fault for _, one in loaded for fault in one.faults]
    objects = [(document, found) for document, one in loaded for found in one.objects]
    faults.extend(_repeated(objects))
    if faults:
        return Prepared(faults=tuple(faults))
    return Prepared(
        pools=tuple(found for _, found in objects if isinstance(found, InstancePool)),
        leases=tuple(found for _, found in objects if isinstance(found, Lease)),
        plans=_planned([(document, found) for document, found in objects if isinstance(found, Job)]),
        graphs=tuple(found for _, found in objects if isinstance(found, TaskGraph)),
    )


def _planned(jobs: list[tuple[Document, Job]]) -> tuple[Plan, ...]:
    plans: list[Plan] = []
    troubles: list[UnsupportedError] = []
    for document, job in jobs:
        try:
            plans.append(plan_job(job, base=document.base))
        except UnsupportedError as error:
            troubles.append(UnsupportedError(f"job {job.metadata.name}: {error.cause}", remedy=error.remedy))
    if troubles:
        raise UnsupportedError("; ".join(trouble.cause for trouble in troubles), remedy=troubles[0].remedy)
    return tuple(plans)


def _repeated(objects: list[tuple[Document, Resource]]) -> list[FieldFault]:
    """Objects of the same name in different files; those within one file are found by their reader."""
    first: dict[tuple[str, str, str], Document] = {}
    faults: list[FieldFault] = []
    for document, found in objects:
        kind, name = found.kind, found.metadata.name
        other = first.setdefault((kind, found.metadata.namespace, name), document)
        if other is not document:
            message = f"the {kind} of {other.origin} has the same name"
            faults.append(FieldFault(document.origin, 0, 1, kind, name, "metadata.name", message))
    return faults


def not_on_one_machine(prepared: Prepared) -> list[str]:
    """Why objects of the file cannot be made on one machine, in words; empty when all can."""
    pools = [f"pool {pool.metadata.name}" for pool in prepared.pools if pool.spec.resource is not ResourceKind.CPU]
    leases = [
        f"lease {lease.metadata.name}"
        for lease in prepared.leases
        if lease.spec.requirements is not None and lease.spec.requirements.resource is not ResourceKind.CPU
    ]
    return [
        *(f"{what}: on one machine members are CPU members" for what in (*pools, *leases)),
        *(f"task graph {one.metadata.name}: this version does not run a TaskGraph yet" for one in prepared.graphs),
    ]
