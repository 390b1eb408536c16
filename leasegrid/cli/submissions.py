"""What of the files of a command line goes to a cluster, as it is sent there."""

from dataclasses import dataclass
from typing import Any

from leasegrid.api.documents import read_documents as read_yaml
from leasegrid.api.job import Job
from leasegrid.api.loading import load_documents, without_nulls
from leasegrid.api.pool import InstancePool
from leasegrid.api.taskgraph import TaskGraph
from leasegrid.cli.documents import Document
from leasegrid.rules.graph_planning import plan_graph
from leasegrid.rules.planning import plan_job
from leasegrid.rules.unsupported import Place
from tasklet_runner.plan.types import Kind, Plan


@dataclass(frozen=True)
class Submission:
    """A Job or a TaskGraph: as it is sent, and planned with the paths of this machine."""

    body: dict[str, Any]
    plan: Plan

    @property
    def plural(self) -> str:
        """Of its kind."""
        return "jobs" if self.plan.kind is Kind.JOB else "taskgraphs"


def submissions_of(documents: list[Document]) -> tuple[tuple[Submission, ...], tuple[dict[str, Any], ...]]:
    """The jobs and graphs of files without faults, and the bodies of their pools."""
    submissions: list[Submission] = []
    pools: list[dict[str, Any]] = []
    for document in documents:
        bodies = [without_nulls(one.value) for one in read_yaml(document.text)[0]]
        for body, found in zip(bodies, load_documents(document.text, document.origin).objects, strict=True):
            if not isinstance(body, dict):
                continue
            if isinstance(found, Job):
                submissions.append(Submission(body, plan_job(found, base=document.base, place=Place.CLUSTER)))
            elif isinstance(found, TaskGraph):
                submissions.append(Submission(body, plan_graph(found, base=document.base, place=Place.CLUSTER)))
            elif isinstance(found, InstancePool):
                pools.append(body)
    return tuple(submissions), tuple(pools)
