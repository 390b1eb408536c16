"""A Job compiled to a plan: one stage, or two with an aggregate."""

from leasegrid.api.common import DEFAULT_MAX_LIFETIME_SECONDS, MemberRequirements
from leasegrid.api.enums import OutputFiles
from leasegrid.api.job import FilesInput, Job, JobInput, JobSpec, LinesInput
from leasegrid.rules.locations import glob_root, located, located_glob
from leasegrid.rules.tasklet_planning import names_path, plan_tasklet, writes_files
from leasegrid.rules.unsupported import unsupported
from tasklet_runner.plan import types as plan
from tasklet_runner.wire.errors import UnsupportedError

MAIN_STAGE = "main"
AGGREGATE_STAGE = "aggregate"


def plan_job(job: Job, *, base: str) -> plan.Plan:
    """The plan of a valid Job. `base` is the absolute directory that its relative paths start from.

    Raises:
        UnsupportedError: the Job says something that this version cannot do; all of it is named.
    """
    missing = unsupported(job.spec)
    if missing:
        raise UnsupportedError("; ".join(missing), remedy="change these fields and try again")
    stages = _stages(job.spec, base)
    return plan.Plan(
        namespace=job.metadata.namespace,
        name=job.metadata.name,
        stages=stages,
        waves=tuple((stage.name,) for stage in stages),
        output=_output(job.spec),
        active_deadline_seconds=job.spec.active_deadline_seconds or 0,
        suspended=job.spec.suspend,
    )


def requirements_of(needs: MemberRequirements | None) -> plan.Requirements:
    """What one member must have: cores rounded up to whole slots, one at least."""
    if needs is None:
        return plan.Requirements()
    slots = max(1, -(-(needs.cpu or 0) // 1000))
    return plan.Requirements(slots, needs.memory or 0, tuple(sorted(set(needs.cpu_features))))


def _stages(spec: JobSpec, base: str) -> tuple[plan.Stage, ...]:
    main = _main_stage(spec, base)
    if spec.aggregate is None:
        return (main,)
    reads = plan_tasklet(
        spec.aggregate.tasklet,
        base,
        input_files=main.tasklet.output_files,
        output_files=writes_files(spec.aggregate.tasklet),
    )
    return (main, _aggregate_stage(spec, reads))


def _main_stage(spec: JobSpec, base: str) -> plan.Stage:
    # Files that nobody names are still wanted when the aggregate reads them below /in.
    read_later = spec.aggregate is not None and names_path(spec.aggregate.tasklet, "/in")
    auto = read_later and spec.tasklet.output_files is OutputFiles.AUTO
    return plan.Stage(
        name=MAIN_STAGE,
        tasklet=plan_tasklet(
            spec.tasklet,
            base,
            input_files=spec.input.files is not None,
            output_files=auto or writes_files(spec.tasklet),
        ),
        input=_input(spec.input, base),
        parallelism=spec.parallelism,
        min_parallelism=spec.min_parallelism,
        max_failed_chunks=spec.max_failed_chunks,
        retry=_retry(spec),
        lease=_lease(spec),
        cache=_cache(spec),
    )


def _aggregate_stage(spec: JobSpec, tasklet: plan.TaskletPlan) -> plan.Stage:
    return plan.Stage(
        name=AGGREGATE_STAGE,
        tasklet=tasklet,
        input=plan.StageInput(stages=(MAIN_STAGE,), gather=True),
        depends_on=(MAIN_STAGE,),
        retry=_retry(spec),
        lease=_lease(spec),
        cache=_cache(spec),
    )


def _input(given: JobInput, base: str) -> plan.Input:
    shards = given.shards or 0
    if given.items is not None:
        items = tuple(
            plan.Item(value=one.value, requirements=requirements_of(one.requirements) if one.requirements else None)
            for one in given.items
        )
        return plan.ItemsInput(items=items, shards=shards)
    if given.lines is not None:
        return _lines(given.lines, shards, base)
    if given.files is not None:
        return _files(given.files, shards, base)
    return plan.CountInput(count=given.count or 0)


def _lines(lines: LinesInput, shards: int, base: str) -> plan.LinesInput:
    uri = lines.uri if lines.uri is not None else located(base, lines.path or "")
    return plan.LinesInput(source=plan.Source(uri=uri), per_chunk=lines.per_chunk, shards=shards)


def _files(files: FilesInput, shards: int, base: str) -> plan.FilesInput:
    root = glob_root(base, files.globs) if files.root is None else located(base, files.root)
    globs = tuple(located_glob(base, glob) for glob in files.globs)
    return plan.FilesInput(globs=globs, root=root, shards=shards)


def _retry(spec: JobSpec) -> plan.RetryPolicy:
    return plan.RetryPolicy(
        max_retries=spec.retry.max_retries,
        initial_backoff_milliseconds=spec.retry.initial_backoff_milliseconds,
        max_backoff_milliseconds=spec.retry.max_backoff_milliseconds,
    )


def _lease(spec: JobSpec) -> plan.LeaseTerms:
    return plan.LeaseTerms(
        pools=tuple(one.name for one in spec.lease.pool_refs),
        requirements=requirements_of(spec.lease.requirements),
        ttl_seconds=spec.lease.ttl_seconds,
        renew_at_percent=spec.lease.renew_at_percent,
        max_lifetime_seconds=max(DEFAULT_MAX_LIFETIME_SECONDS, spec.active_deadline_seconds or 0),
        priority=spec.priority,
    )


def _cache(spec: JobSpec) -> plan.CacheSettings | None:
    if spec.cache is None:
        return None
    return plan.CacheSettings(name=spec.cache.name, size=spec.cache.size, retain_seconds=spec.cache.retain_seconds)


def _output(spec: JobSpec) -> plan.OutputSettings:
    return plan.OutputSettings(
        store=spec.output.store.value,
        size=spec.output.size,
        retain_seconds=spec.output.retain_seconds,
        layout=plan.Layout(spec.output.layout.value),
    )
