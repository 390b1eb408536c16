"""Rules across the fields of each kind."""

from leasegrid.api.pool import DEFAULT_MAX_SIZE
from leasegrid.api.quantities import format_bytes, format_millicores
from leasegrid.api.tasklet_rules import check_tasklet, is_loop
from leasegrid.api.views import View


def check_job(spec: View) -> None:
    """The rules of a Job."""
    tasklet = spec.child("tasklet")
    check_tasklet(tasklet)
    _check_aggregate(spec.child("aggregate").child("tasklet"))
    _check_input(spec.child("input"), loop=is_loop(tasklet))
    check_run(spec)


def check_run(spec: View) -> None:
    """The rules that a Job and a TaskGraph share."""
    spec.not_above("minParallelism", "parallelism")
    spec.child("retry").not_above("initialBackoffMilliseconds", "maxBackoffMilliseconds")
    spec.child("output").child("copyTo").exactly_one("uri", "persistentVolumeClaim")
    lease = spec.child("lease")
    _check_pools(lease)
    requirements = lease.child("requirements")
    if requirements.text("resource") in {"Memory", "Block"}:
        requirements.fault("must be CPU, as tasklets run on CPU members only", "resource")
    _check_requirements(requirements)


def _check_aggregate(tasklet: View) -> None:
    check_tasklet(tasklet)
    if is_loop(tasklet):
        tasklet.fault("must be Fresh, as an aggregate runs once", "python", "mode")


def _check_input(given: View, *, loop: bool) -> None:
    given.exactly_one("items", "count", "lines", "files")
    given.child("lines").exactly_one("path", "uri")
    if given.has("shards") and given.has("count"):
        given.fault("cannot stand beside count: lower count instead", "shards")
    if loop and given.has("files"):
        given.fault("cannot be used with python.mode Loop, which has no /in: use Fresh", "files")


def check_lease(spec: View) -> None:
    """The rules of a Lease."""
    _check_pools(spec)
    _check_requirements(spec.child("requirements"))
    spec.not_above("minCount", "count")
    spec.not_above("ttlSeconds", "maxLifetimeSeconds")


def check_pool(spec: View) -> None:
    """The rules of an InstancePool."""
    _check_sizes(spec)
    _check_storage(spec)
    resources, requests = spec.child("resources"), spec.child("requests")
    if (asked := requests.size("memory")) and (limit := resources.size("memory")) and asked > limit:
        requests.fault(f"is {format_bytes(asked)}, more than resources.memory {format_bytes(limit)}", "memory")
    if (asked := requests.millicores("cpu")) and (limit := resources.millicores("cpu")) and asked > limit:
        requests.fault(f"is {format_millicores(asked)}, more than resources.cpu {format_millicores(limit)}", "cpu")
    spec.child("claimDefaults").not_above("ttlSeconds", "maxLifetimeSeconds")
    if spec.text("resource") in {"Memory", "Block"} and spec.text("reuse") == "Reset":
        spec.fault("cannot be Reset: Memory and Block members hold data and are always replaced", "reuse")


def _check_sizes(spec: View) -> None:
    target, most = spec.integer("targetSize"), spec.integer("maxSize")
    spec.not_above("minSize", "targetSize")
    if target is not None and most is not None and target > most:
        spec.fault(f"is {target}, but maxSize is {most}: lower it or raise maxSize", "targetSize")
    ceiling = max(DEFAULT_MAX_SIZE, target or 0) if not spec.has("maxSize") else most
    for schedule in spec.children("schedules"):
        wanted = schedule.integer("targetSize")
        if wanted is not None and ceiling is not None and wanted > ceiling:
            schedule.fault(f"is {wanted}, but maxSize is {ceiling}: lower it or raise maxSize", "targetSize")


def _check_storage(spec: View) -> None:
    resource = spec.text("resource")
    if resource == "Block" and not spec.has("storage"):
        spec.fault("is required for Block members: give storage.size", "storage")
    if resource == "CPU" and spec.has("storage"):
        spec.fault("is for Memory and Block members: leave it out, or change resource", "storage")
    if resource == "Memory" and spec.child("storage").has("storageClassName"):
        spec.fault("is for Block members: a Memory member has tmpfs", "storage", "storageClassName")


def _check_pools(holder: View) -> None:
    if holder.has("poolRefs") and holder.has("requirements"):
        holder.fault("cannot stand beside poolRefs: give one of them", "requirements")
    names: set[str] = set()
    for reference in holder.children("poolRefs"):
        name = reference.text("name")
        if name in names:
            reference.fault(f"{name!r} stands twice: keep one of them", "name")
        names.update({name} if name else ())


def _check_requirements(requirements: View) -> None:
    if requirements.has("size") and requirements.text("resource") == "CPU":
        requirements.fault("is for Memory and Block members: leave it out, or change resource", "size")
