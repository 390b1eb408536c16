"""The pod that copies a job's outputs into a claim, and the Secret with the way into the store; both pure bodies.

The pod is the job's, and runs nothing of the job: it reads the store under a grant, and writes the mounted volume. The
Secret is the pod's, and goes with it.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from leasegrid.api.common import API_VERSION
from leasegrid.api.pool import InstancePoolSpec
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.pools.pods import CONTAINER_SECURITY, POD_SECURITY, placement
from leasegrid_operator.pools.templates import MemberSettings
from tasklet_runner.plan.types import CountInput, Plan, Source, Stage, StageInput, TaskletPlan
from tasklet_runner.wire.jobs import COPY_VARIABLE, CopyOrder

Body = dict[str, Any]

COPIER_LABEL = "leasegrid.dev/copier-of"
"""The uid of the job. Network policies let who carries it come to stores; it is no member, and not watched."""

TARGET = "/target"
ORDER_KEY = "order"
COMMAND = ("python", "-m", "tasklet_runner", "copy")
_NAME = 40


@dataclass(frozen=True)
class CopierTemplate:
    """What all copiers of an installation share: the image of members, and where pods without a pool may run."""

    settings: MemberSettings
    provision: InstancePoolSpec


def copier_name(facts: JobFacts, attempt: int) -> str:
    """Of the pod and of its Secret."""
    return f"{facts.key.name[:_NAME].rstrip('-')}-{facts.uid[:8]}-copy-{attempt}"


def copier_pod(template: CopierTemplate, facts: JobFacts, claim: str, attempt: int) -> Body:
    """A pod that fails rather than starts anew: each attempt is another one."""
    owner = {"apiVersion": API_VERSION, "kind": facts.kind, "name": facts.key.name, "uid": facts.uid}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": copier_name(facts, attempt),
            "namespace": facts.key.namespace,
            "labels": {COPIER_LABEL: facts.uid},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        "spec": {
            **placement(template.provision, template.settings),
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": POD_SECURITY,
            "containers": [_container(template.settings, facts, attempt)],
            "volumes": [{"name": "target", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }


def copier_secret(facts: JobFacts, attempt: int, pod_uid: str, order: CopyOrder) -> Body:
    """The order, for this pod alone, and gone with it."""
    name = copier_name(facts, attempt)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": facts.key.namespace,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod_uid}],
        },
        "immutable": True,
        "stringData": {ORDER_KEY: msgspec.json.encode(order).decode()},
    }


def outline(plan: Plan) -> str:
    """The plan as JSON, as far as it says which outputs there are and how they are laid out: small at any input."""
    stages = tuple(_outline(stage) for stage in plan.stages)
    return msgspec.json.encode(msgspec.structs.replace(plan, stages=stages, data_secret="")).decode()


def _outline(stage: Stage) -> Stage:
    tasklet = TaskletPlan(name=stage.tasklet.name, language=stage.tasklet.language, source=Source())
    given = stage.input if isinstance(stage.input, StageInput) else CountInput(count=0)
    return msgspec.structs.replace(stage, tasklet=tasklet, input=given)


def _container(settings: MemberSettings, facts: JobFacts, attempt: int) -> Body:
    order = {"secretKeyRef": {"name": copier_name(facts, attempt), "key": ORDER_KEY}}
    return {
        "name": "copier",
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": list(COMMAND),
        "args": ["--into", f"{TARGET}/{facts.key.name}"],
        "env": [{"name": COPY_VARIABLE, "valueFrom": order}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "target", "mountPath": TARGET}],
    }
