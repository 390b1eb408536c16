"""Rules in CEL: what the API server itself refuses, with the field and what would be right.

They say what `kind_rules` and `graph_rules` say, as far as CEL can; beside them stand those on what may change. What is
a search (a cycle among tasks, a reference in an argument) is left to those modules, which all that reads objects calls.
Language: https://kubernetes.io/docs/reference/using-api/cel/
"""

from collections.abc import Mapping
from dataclasses import dataclass

from leasegrid.api.common import LeaseRequirements, Model
from leasegrid.api.job import CopyTarget, JobInput, JobLease, JobSpec, LinesInput, Retry
from leasegrid.api.lease import LeaseSpec
from leasegrid.api.names import RESERVED_PATHS
from leasegrid.api.pool import DEFAULT_MAX_SIZE, ClaimDefaults, InstancePoolSpec
from leasegrid.api.shapes import fields_of
from leasegrid.api.taskgraph import Task, TaskGraphSpec, TaskInput
from leasegrid.api.tasklet import ModuleSource, Mount, PythonSource, Tasklet

CHANGEABLE = frozenset({"suspend", "parallelism"})
"""The fields of a run that may be changed while it runs."""


@dataclass(frozen=True)
class Rule:
    """One rule on `self`, the object it stands at. `field` below it gets the fault; "" is the object itself.

    `inside`: it stands at that field, and `self` is the field's value.
    """

    expression: str
    message: str
    field: str = ""
    inside: bool = False

    def written(self) -> dict[str, str]:
        """The rule as an entry of x-kubernetes-validations."""
        entry = {"rule": self.expression, "message": self.message}
        return entry | ({"fieldPath": f".{self.field}"} if self.field and not self.inside else {})


def exactly_one(*names: str) -> Rule:
    """One of these fields is given, and no other."""
    return Rule(f"{_given(*names)}.size() == 1", f"give exactly one of {', '.join(names)}")


def _given(*names: str) -> str:
    """A list with one entry for each of the fields that is given."""
    return f"[{', '.join(f'has(self.{name})' for name in names)}].filter(one, one)"


def not_above(lower: str, upper: str, *, optional: bool = False) -> Rule:
    """One number does not exceed another; `optional`: where both are given."""
    guard = f"!has(self.{lower}) || !has(self.{upper}) || " if optional else ""
    message = f"{lower} must not be larger than {upper}: lower it, or raise {upper}"
    return Rule(f"{guard}self.{lower} <= self.{upper}", message, lower)


def unchanged(name: str, remedy: str, *, defaulted: bool = False) -> Rule:
    """The field stays what it was, given or not. `defaulted`: the server fills it in, so it is always given."""
    message = f"{name} cannot be changed: {remedy}"
    if defaulted:
        # The server judges the whole object at each write of its status, and each look at a field from the object
        # above it makes it copy the schema of all fields there: 10 KB each, tenths of a millisecond in all.
        return Rule("self == oldSelf", message, name, inside=True)
    same = f"has(self.{name}) ? has(oldSelf.{name}) && self.{name} == oldSelf.{name} : !has(oldSelf.{name})"
    return Rule(same, message, name)


def _frozen(model: type[Model], kind: str) -> tuple[Rule, ...]:
    remedy = f"make a new {kind}; {' and '.join(sorted(CHANGEABLE))} alone can be changed"
    return tuple(unchanged(name, remedy) for name in fields_of(model) if name not in CHANGEABLE)


def _within(asked: str, name: str) -> Rule:
    path = f"requests.{name}"
    size, limit = (f"quantity(string(self.{holder}.{name}))" for holder in ("requests", "resources"))
    message = f"{path} must not be larger than resources.{name}: lower it, or raise resources.{name}"
    return Rule(f"!has(self.{path}) || {size}.compareTo({limit}) <= 0", message, asked)


_LOOP = "has(self.tasklet.python) && self.tasklet.python.mode == 'Loop'"
_OWN_MAX = f"(self.targetSize > {DEFAULT_MAX_SIZE} ? self.targetSize : {DEFAULT_MAX_SIZE})"
_CEILING = f"(has(self.maxSize) ? self.maxSize : {_OWN_MAX})"
_MODULE_SOURCES = _given("path", "upload", "oci", "url", "configMap")
_RESERVED = ", ".join(f"'{path}'" for path in RESERVED_PATHS)
_POOLS_OR_REQUIREMENTS = Rule(
    "!has(self.poolRefs) || !has(self.requirements)",
    "requirements cannot stand beside poolRefs: give one of them",
    "requirements",
)

OBJECT_RULE = Rule(
    "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
    "metadata.name must be an RFC 1123 label: at most 63 of a-z, 0-9 and '-'; write '-' for '.', or shorten it",
)
"""Names of pods, directories and labels are made from an object's name."""

_POOL = (
    not_above("minSize", "targetSize", optional=True),
    not_above("targetSize", "maxSize", optional=True),
    Rule(
        f"!has(self.schedules) || self.schedules.all(one, one.targetSize <= {_CEILING})",
        "targetSize of a schedule must not be larger than maxSize: lower it, or raise maxSize",
        "schedules",
    ),
    Rule("self.resource != 'Block' || has(self.storage)", "storage is required for Block members: give storage.size"),
    Rule(
        "self.resource != 'CPU' || !has(self.storage)",
        "storage is for Memory and Block members: leave it out, or change resource",
        "storage",
    ),
    Rule(
        "self.resource != 'Memory' || !has(self.storage) || !has(self.storage.storageClassName)",
        "storage.storageClassName is for Block members: leave it out, as a Memory member has tmpfs",
        "storage.storageClassName",
    ),
    Rule(
        "self.resource == 'CPU' || !has(self.reuse) || self.reuse == 'Replace'",
        "reuse cannot be Reset for Memory and Block members, which hold data: leave it out, or write Replace",
        "reuse",
    ),
    _within("requests.memory", "memory"),
    _within("requests.cpu", "cpu"),
    unchanged("resource", "make a new InstancePool"),
    unchanged("storage", "make a new InstancePool"),
)

_LEASE = (
    _POOLS_OR_REQUIREMENTS,
    not_above("minCount", "count", optional=True),
    not_above("ttlSeconds", "maxLifetimeSeconds", optional=True),
    *(
        unchanged(name, "make a new Lease")
        for name in ("poolRefs", "requirements", "minCount", "maxLifetimeSeconds", "holderKey", "parentRef")
    ),
    *(unchanged(name, "make a new Lease", defaulted=True) for name in ("count", "elastic", "onEmpty")),
    Rule("!has(oldSelf.revoke) || has(self.revoke)", "revoke cannot be taken back: make a new Lease"),
)

_JOB = (
    not_above("minParallelism", "parallelism"),
    Rule(
        f"!({_LOOP}) || !has(self.input.files)", "input.files cannot be read in Loop mode, which has no /in: use Fresh"
    ),
    Rule(
        "!has(self.aggregate) || !has(self.aggregate.tasklet.python) || self.aggregate.tasklet.python.mode != 'Loop'",
        "aggregate.tasklet.python.mode must be Fresh, as an aggregate runs once",
        "aggregate",
    ),
    *_frozen(JobSpec, "Job"),
)

_TASK = (
    Rule(
        "!has(self.dependsOn) || !(self.name in self.dependsOn)",
        "dependsOn names the task itself: name other tasks",
        "dependsOn",
    ),
    Rule(
        "!has(self.input.from) || self.input.from.all(one, has(self.dependsOn) && one in self.dependsOn)",
        "input.from names a task that may not be done yet: add it to dependsOn",
        "input.from",
    ),
    Rule(
        f"!({_LOOP}) || !has(self.input.files) && !self.input.gather",
        "input.files and input.gather cannot be used in Loop mode, which has no /in: use Fresh",
        "input",
    ),
    Rule(
        f"!has(self.shuffle) || self.shuffle.by != 'File' || !({_LOOP}) && self.tasklet.outputFiles != 'Never'",
        "shuffle.by File needs /out: use Key, or mode Fresh with outputFiles Auto",
        "shuffle.by",
    ),
)

_GRAPH = (
    not_above("minParallelism", "parallelism"),
    Rule(
        "self.tasks.all(one, !has(one.dependsOn)"
        " || one.dependsOn.all(name, self.tasks.exists(other, other.name == name)))",
        "dependsOn of a task names no task of this graph: correct the name, or add the task",
        "tasks",
    ),
    Rule(
        "self.tasks.all(one, !has(one.shuffle)"
        " || self.tasks.exists(other, has(other.input.from) && one.name in other.input.from))",
        "shuffle of a task has no consumer: name the task in the input.from of another, or leave shuffle out",
        "tasks",
    ),
    *_frozen(TaskGraphSpec, "TaskGraph"),
)

RULES: Mapping[type[Model], tuple[Rule, ...]] = {
    InstancePoolSpec: _POOL,
    ClaimDefaults: (not_above("ttlSeconds", "maxLifetimeSeconds"),),
    LeaseSpec: _LEASE,
    LeaseRequirements: (
        Rule(
            "!has(self.size) || self.resource != 'CPU'",
            "size is for Memory and Block members: leave it out, or change resource",
            "size",
        ),
    ),
    JobSpec: _JOB,
    JobLease: (
        _POOLS_OR_REQUIREMENTS,
        Rule(
            "!has(self.requirements) || self.requirements.resource == 'CPU'",
            "requirements.resource must be CPU, as tasklets run on CPU members only",
            "requirements.resource",
        ),
    ),
    JobInput: (
        exactly_one("items", "count", "lines", "files"),
        Rule(
            "!has(self.shards) || !has(self.count)", "shards cannot stand beside count: lower count instead", "shards"
        ),
    ),
    LinesInput: (exactly_one("path", "uri"),),
    Retry: (not_above("initialBackoffMilliseconds", "maxBackoffMilliseconds"),),
    CopyTarget: (exactly_one("uri", "persistentVolumeClaim"),),
    Tasklet: (
        exactly_one("module", "python"),
        Rule(
            "!has(self.python) || self.python.mode != 'Loop' || self.outputFiles != 'Always'",
            "outputFiles cannot be Always with python.mode Loop, which has no /out: use Fresh",
            "outputFiles",
        ),
        Rule(
            "!has(self.python) || self.python.mode != 'Loop' || !self.durable",
            "durable cannot be true with python.mode Loop, which serves many chunks: use Fresh",
            "durable",
        ),
    ),
    ModuleSource: (
        Rule(
            f"{_MODULE_SOURCES}.size() == 1 || {_MODULE_SOURCES}.size() == 0 && has(self.sha256)",
            "give exactly one of path, upload, oci, url, configMap; or sha256 alone, which names an uploaded object",
        ),
    ),
    PythonSource: (exactly_one("path", "inline", "configMap"),),
    Mount: (
        Rule(
            f"![{_RESERVED}].exists(one, self.mountPath == one || self.mountPath.startsWith(one + '/'))",
            f"mountPath lies in {', '.join(RESERVED_PATHS)}, which chunks have for themselves: use another path",
            "mountPath",
        ),
    ),
    TaskInput: (
        exactly_one("items", "count", "lines", "files", "from"),
        Rule(
            "!has(self.shards) || !has(self.count) && !has(self.from)",
            "shards cannot stand beside count and from: it groups items, lines or files",
            "shards",
        ),
        Rule("!self.gather || has(self.from)", "gather reads the outputs of other tasks: give from", "gather"),
    ),
    Task: _TASK,
    TaskGraphSpec: _GRAPH,
}
"""The rules of each model, wherever it stands."""
