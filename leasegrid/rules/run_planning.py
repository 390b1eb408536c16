"""What the stages of a Job and of a TaskGraph have in common: inputs, retries, leases, caches, outputs."""

from leasegrid.api.common import DEFAULT_MAX_LIFETIME_SECONDS, MemberRequirements
from leasegrid.api.job import FilesInput, JobInput, LinesInput, Retry, RunSpec
from leasegrid.rules.locations import glob_root, located, located_glob
from tasklet_runner.plan import types as plan


def requirements_of(needs: MemberRequirements | None) -> plan.Requirements:
    """What one member must have: cores rounded up to whole slots, one at least."""
    if needs is None:
        return plan.Requirements()
    slots = max(1, -(-(needs.cpu or 0) // 1000))
    return plan.Requirements(slots, needs.memory or 0, tuple(sorted(set(needs.cpu_features))))


def plan_input(given: JobInput, base: str) -> plan.Input:
    """An input that does not come from another stage. `base` is the absolute directory of the YAML."""
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


def plan_retry(retry: Retry) -> plan.RetryPolicy:
    """The back-off of transient faults."""
    return plan.RetryPolicy(
        max_retries=retry.max_retries,
        initial_backoff_milliseconds=retry.initial_backoff_milliseconds,
        max_backoff_milliseconds=retry.max_backoff_milliseconds,
    )


def plan_lease(spec: RunSpec) -> plan.LeaseTerms:
    """Where the workers come from; a lease may live as long as the run may."""
    return plan.LeaseTerms(
        pools=tuple(one.name for one in spec.lease.pool_refs),
        requirements=requirements_of(spec.lease.requirements),
        ttl_seconds=spec.lease.ttl_seconds,
        renew_at_percent=spec.lease.renew_at_percent,
        max_lifetime_seconds=max(DEFAULT_MAX_LIFETIME_SECONDS, spec.active_deadline_seconds or 0),
        priority=spec.priority,
    )


def plan_cache(spec: RunSpec) -> plan.CacheSettings | None:
    """The named cache, if there is one."""
    if spec.cache is None:
        return None
    return plan.CacheSettings(name=spec.cache.name, size=spec.cache.size, retain_seconds=spec.cache.retain_seconds)


def plan_data_secret(spec: RunSpec) -> str:
    """The name of the Secret with which buckets are entered; empty where there is none."""
    return spec.data_secret_ref.name if spec.data_secret_ref is not None else ""


def plan_output(spec: RunSpec, base: str) -> plan.OutputSettings:
    """The store of the run, how its outputs are laid out, and where a copy goes. `base`: as for inputs."""
    copy = spec.output.copy_to
    uri = copy.uri if copy is not None else None
    claim = copy.persistent_volume_claim if copy is not None else None
    return plan.OutputSettings(
        store=spec.output.store.value,
        size=spec.output.size,
        retain_seconds=spec.output.retain_seconds,
        copy_to=located(base, uri) if uri is not None else "",
        claim=claim.claim_name if claim is not None else "",
        layout=plan.Layout(spec.output.layout.value),
    )
