"""One accepted and one refused object for each rule in CEL."""

from dataclasses import dataclass, field

from leasegrid.api.cel import RULES, Rule
from leasegrid.api.common import LeaseRequirements, Model
from leasegrid.api.job import CopyTarget, JobInput, JobLease, JobSpec, LinesInput, Retry
from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import ClaimDefaults, InstancePoolSpec
from leasegrid.api.taskgraph import Task, TaskGraphSpec, TaskInput
from leasegrid.api.tasklet import ModuleSource, Mount, PythonSource, Tasklet

Spec = dict[str, object]
MODULE: Spec = {"module": {"path": "a.wasm"}}
PYTHON: Spec = {"python": {"source": {"inline": "print(1)"}}}
LOOP: Spec = {"python": {"source": {"inline": "print(1)"}, "mode": "Loop"}}
FILES: Spec = {"files": {"globs": ["*.txt"]}}
BLOCK: Spec = {"resource": "Block", "storage": {"size": "1Gi"}}
KEY = "A" * 43


@dataclass(frozen=True)
class Case:
    """A rule of a model, told by the start of its message: what it accepts and refuses as the spec of a kind. With
    `before`, both are changes of an object that is there.
    """

    model: type[Model]
    starts: str
    kind: str
    accepted: Spec
    refused: Spec
    before: Spec | None = None
    path: str = field(default="spec")

    @property
    def rule(self) -> Rule:
        """The rule that is meant; there is exactly one."""
        (found,) = (rule for rule in RULES[self.model] if rule.message.startswith(self.starts))
        return found

    def __str__(self) -> str:
        return f"{self.kind}: {self.rule.message}"


def job(tasklet: Spec | None = None, **fields: object) -> Spec:
    """A Job's spec: one chunk of a module, unless told otherwise."""
    return {"tasklet": tasklet or MODULE, "input": {"count": 1}, **fields}


def task(name: str, *before: str, **fields: object) -> Spec:
    """A task that reads those before it, or counts to one."""
    given: Spec = {"from": list(before)} if before else {"count": 1}
    order: Spec = {"dependsOn": list(before)} if before else {}
    return {"name": name, "tasklet": MODULE, "input": given, **order, **fields}


def graph(*tasks: Spec, **fields: object) -> Spec:
    """A TaskGraph's spec."""
    return {"tasks": list(tasks) or [task("a")], **fields}


def _pool(starts: str, accepted: Spec, refused: Spec, before: Spec | None = None) -> Case:
    return Case(InstancePoolSpec, starts, "InstancePool", accepted, refused, before)


def _job(model: type[Model], starts: str, accepted: Spec, refused: Spec, path: str = "spec") -> Case:
    return Case(model, starts, "Job", accepted, refused, path=path)


def _graph(model: type[Model], starts: str, accepted: Spec, refused: Spec, path: str = "spec.tasks[1]") -> Case:
    return Case(model, starts, "TaskGraph", accepted, refused, path=path)


def _frozen(model: type[Model], kind: str, base: Spec, same: Spec, changes: Spec) -> list[Case]:
    """A case for each field that cannot be changed."""
    return [
        Case(model, f"{name} cannot be changed", kind, {**base, **same}, {**base, name: value}, before=base)
        for name, value in changes.items()
    ]


_RUN_CHANGES: Spec = {
    "minParallelism": 2,
    "maxFailedChunks": 1,
    "lease": {"ttlSeconds": 60},
    "retry": {"maxRetries": 1},
    "cache": {"name": "build"},
    "output": {"layout": "ByPath"},
    "dataSecretRef": {"name": "bucket"},
    "priority": 5,
    "activeDeadlineSeconds": 60,
    "ttlSecondsAfterFinished": 60,
}

POOLS = [
    _pool("minSize must", {"minSize": 3, "targetSize": 3}, {"minSize": 6}),
    _pool("targetSize must", {"targetSize": 5, "maxSize": 5}, {"maxSize": 4, "minSize": 1}),
    _pool(
        "targetSize of a schedule",
        {"maxSize": 30, "schedules": [{"start": "0 8 * * 1-5", "durationSeconds": 60, "targetSize": 30}]},
        {"schedules": [{"start": "0 8 * * 1-5", "durationSeconds": 60, "targetSize": 11}]},
    ),
    _pool("storage is required", BLOCK, {"resource": "Block"}),
    _pool("storage is for", {"resource": "Memory", "storage": {"size": "1Gi"}}, {"storage": {"size": "1Gi"}}),
    _pool(
        "storage.storageClassName",
        {"resource": "Block", "storage": {"size": "1Gi", "storageClassName": "fast"}},
        {"resource": "Memory", "storage": {"size": "1Gi", "storageClassName": "fast"}},
    ),
    _pool("reuse cannot", {"resource": "Memory", "reuse": "Replace"}, {"resource": "Memory", "reuse": "Reset"}),
    _pool("requests.memory", {"requests": {"memory": "2048Mi"}}, {"requests": {"memory": "2049Mi"}}),
    _pool("requests.cpu", {"requests": {"cpu": "2000m"}}, {"requests": {"cpu": 3}}),
    _pool("resource cannot be changed", {"targetSize": 6}, {"resource": "Memory"}, before={"targetSize": 5}),
    _pool("storage cannot", {**BLOCK, "targetSize": 6}, {**BLOCK, "storage": {"size": "2Gi"}}, before=BLOCK),
    Case(
        ClaimDefaults,
        "ttlSeconds",
        "InstancePool",
        {"claimDefaults": {"ttlSeconds": 60, "maxLifetimeSeconds": 60}},
        {"claimDefaults": {"ttlSeconds": 61, "maxLifetimeSeconds": 60}},
        path="spec.claimDefaults",
    ),
]

LEASES = [
    Case(
        LeaseSpec,
        "requirements cannot stand",
        "Lease",
        {"poolRefs": [{"name": "cpu"}]},
        {"poolRefs": [{"name": "cpu"}], "requirements": {"cpu": "1"}},
    ),
    Case(LeaseSpec, "minCount must", "Lease", {"count": 3, "minCount": 3}, {"count": 3, "minCount": 4}),
    Case(
        LeaseSpec,
        "ttlSeconds must",
        "Lease",
        {"ttlSeconds": 60, "maxLifetimeSeconds": 60},
        {"ttlSeconds": 61, "maxLifetimeSeconds": 60},
    ),
    Case(
        LeaseRequirements,
        "size is for",
        "Lease",
        {"requirements": {"resource": "Block", "size": "1Gi"}},
        {"requirements": {"size": "1Gi"}},
        path="spec.requirements",
    ),
    Case(LeaseSpec, "revoke cannot", "Lease", {"revoke": {"graceSeconds": 1}}, {}, before={"revoke": {}}),
    *_frozen(
        LeaseSpec,
        "Lease",
        {},
        {"renewTime": "now", "ttlSeconds": 60},
        {
            "poolRefs": [{"name": "cpu"}],
            "requirements": {"cpu": "1"},
            "count": 2,
            "minCount": 1,
            "elastic": True,
            "maxLifetimeSeconds": 600,
            "holderKey": KEY,
            "parentRef": {"name": "other"},
            "onEmpty": "Queue",
        },
    ),
]

JOBS = [
    _job(JobSpec, "minParallelism must", job(parallelism=2, minParallelism=2), job(parallelism=1, minParallelism=2)),
    _job(JobSpec, "input.files", job(PYTHON, input=FILES), job(LOOP, input=FILES)),
    _job(JobSpec, "aggregate.tasklet", job(aggregate={"tasklet": PYTHON}), job(aggregate={"tasklet": LOOP})),
    *_frozen(
        JobSpec,
        "Job",
        job(),
        {"suspend": True, "parallelism": 3},
        {**_RUN_CHANGES, "tasklet": PYTHON, "input": {"count": 2}, "aggregate": {"tasklet": MODULE}},
    ),
    _job(
        JobLease,
        "requirements cannot",
        job(lease={"requirements": {"cpu": "1"}}),
        job(lease={"requirements": {"cpu": "1"}, "poolRefs": [{"name": "cpu"}]}),
        "spec.lease",
    ),
    _job(
        JobLease,
        "requirements.resource",
        job(lease={"requirements": {"memory": "1Gi"}}),
        job(lease={"requirements": {"resource": "Block"}}),
        "spec.lease",
    ),
    _job(JobInput, "give exactly one", job(input=FILES), job(input={**FILES, "items": [{"value": "a"}]}), "spec.input"),
    _job(JobInput, "shards", job(input={**FILES, "shards": 2}), job(input={"count": 4, "shards": 2}), "spec.input"),
    _job(
        LinesInput,
        "give exactly one",
        job(input={"lines": {"path": "a"}}),
        job(input={"lines": {"perChunk": 1}}),
        "spec.input.lines",
    ),
    _job(
        Retry,
        "initialBackoffMilliseconds",
        job(retry={"initialBackoffMilliseconds": 16000}),
        job(retry={"initialBackoffMilliseconds": 16001}),
        "spec.retry",
    ),
    _job(
        CopyTarget,
        "give exactly one",
        job(output={"copyTo": {"persistentVolumeClaim": {"claimName": "mine"}}}),
        job(output={"copyTo": {}}),
        "spec.output.copyTo",
    ),
    _job(Tasklet, "give exactly one", job(PYTHON), job({**MODULE, **PYTHON}), "spec.tasklet"),
    _job(
        Tasklet,
        "outputFiles",
        job({**PYTHON, "outputFiles": "Always"}),
        job({**LOOP, "outputFiles": "Always"}),
        "spec.tasklet",
    ),
    _job(
        ModuleSource,
        "give exactly one",
        job({"module": {"sha256": "0" * 64}}),
        job({"module": {"path": "a", "upload": "b", "sha256": "0" * 64}}),
        "spec.tasklet.module",
    ),
    _job(
        Tasklet,
        "durable",
        job({**PYTHON, "durable": True}),
        job({**LOOP, "durable": True}),
        "spec.tasklet",
    ),
    _job(
        PythonSource,
        "give exactly one",
        job({"python": {"source": {"path": "a.py"}}}),
        job({"python": {"source": {"path": "a.py", "inline": "x"}}}),
        "spec.tasklet.python.source",
    ),
    _job(
        Mount,
        "mountPath lies",
        job({**MODULE, "mounts": [{"mountPath": "/input", "source": {"path": "x"}}]}),
        job({**MODULE, "mounts": [{"mountPath": "/in/x", "source": {"path": "x"}}]}),
        "spec.tasklet.mounts[0]",
    ),
]

_MAP = task("a", shuffle={"partitions": 2})
GRAPHS = [
    _graph(
        TaskInput,
        "give exactly one",
        graph(task("a"), task("b", "a")),
        graph(task("a"), task("b", "a", input={"from": ["a"], "count": 1})),
        "spec.tasks[1].input",
    ),
    _graph(
        TaskInput,
        "shards",
        graph(task("a"), task("b", input={**FILES, "shards": 2})),
        graph(task("a"), task("b", "a", input={"from": ["a"], "shards": 2})),
        "spec.tasks[1].input",
    ),
    _graph(
        TaskInput,
        "gather",
        graph(task("a"), task("b", "a", input={"from": ["a"], "gather": True})),
        graph(task("a"), task("b", input={"count": 1, "gather": True})),
        "spec.tasks[1].input",
    ),
    _graph(Task, "dependsOn", graph(task("a"), task("b", "a")), graph(task("a"), task("b", dependsOn=["b"]))),
    _graph(
        Task,
        "input.from",
        graph(task("a"), task("b", "a")),
        graph(task("a"), task("b", "a", dependsOn=[])),
    ),
    _graph(
        Task,
        "input.files",
        graph(task("a"), task("b", "a", tasklet=LOOP)),
        graph(task("a"), task("b", "a", tasklet=LOOP, input={"from": ["a"], "gather": True})),
    ),
    _graph(
        Task,
        "shuffle.by",
        graph({**_MAP, "shuffle": {"partitions": 2, "by": "File"}}, task("b", "a")),
        graph({**_MAP, "shuffle": {"partitions": 2, "by": "File"}, "tasklet": LOOP}, task("b", "a")),
        "spec.tasks[0]",
    ),
    _graph(
        TaskGraphSpec,
        "minParallelism must",
        graph(parallelism=2, minParallelism=2),
        graph(parallelism=1, minParallelism=2),
        "spec",
    ),
    _graph(
        TaskGraphSpec,
        "dependsOn of",
        graph(task("a"), task("b", "a")),
        graph(task("a"), task("b", dependsOn=["x"])),
        "spec",
    ),
    _graph(TaskGraphSpec, "shuffle of", graph(_MAP, task("b", "a")), graph(_MAP, task("b")), "spec"),
    *_frozen(
        TaskGraphSpec, "TaskGraph", graph(), {"suspend": True, "parallelism": 3}, {**_RUN_CHANGES, "tasks": [task("b")]}
    ),
]

CASES = [*POOLS, *LEASES, *JOBS, *GRAPHS]
ALL_RULES = {(model, rule) for model, rules in RULES.items() for rule in rules}
