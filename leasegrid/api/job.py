"""Job: one tasklet over many inputs, in parallel."""

from typing import Annotated, Literal

from pydantic import Field

from leasegrid.api.common import (
    DEFAULT_TTL_SECONDS,
    Bytes,
    Count,
    Flag,
    LeaseRequirements,
    MemberRequirements,
    Milliseconds,
    Model,
    Name,
    ObjectMeta,
    PoolReferences,
    Priority,
    Reference,
    Seconds,
    SecondsOrZero,
    Text,
    Whole,
    bounded_bytes,
)
from leasegrid.api.enums import OutputLayout, OutputStore
from leasegrid.api.job_status import JobStatus
from leasegrid.api.quantities import GIBI, MEBI
from leasegrid.api.tasklet import Tasklet

DEFAULT_PARALLELISM = 50
StoreBytes = Annotated[Bytes, bounded_bytes(MEBI, 65536 * GIBI)]
Chunks = Annotated[Whole, Field(ge=1, le=10_000_000)]


class InputItem(Model):
    """One input, given here."""

    value: str = Field(description="The bytes on stdin.")
    requirements: MemberRequirements | None = Field(
        default=None, description="What this chunk needs; cpu reserves that many slots of one member."
    )


class LinesInput(Model):
    """A text whose lines are the inputs: either path or uri."""

    path: Text | None = Field(default=None, description="File, relative to the YAML.")
    uri: Text | None = Field(default=None, description="URI of the text.")
    per_chunk: Count = Field(default=100, description="Lines of a chunk.")


class FilesInput(Model):
    """Files that are the inputs: one a chunk, at /in/<path below root> and on stdin."""

    globs: tuple[Text, ...] = Field(
        min_length=1, max_length=1024, description="Globs relative to the YAML, or URIs; ** crosses directories."
    )
    root: Text | None = Field(
        default=None, description="Paths are below it. Default: what stands before the first wildcard."
    )


class JobInput(Model):
    """The inputs: exactly one of items, count, lines and files."""

    items: Annotated[tuple[InputItem, ...], Field(min_length=1)] | None = Field(
        default=None, description="A chunk per item."
    )
    count: Chunks | None = Field(default=None, description="So many chunks without input.")
    lines: LinesInput | None = Field(default=None, description="A chunk per so many lines of a text.")
    files: FilesInput | None = Field(default=None, description="A chunk per file.")
    shards: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Groups items, lines or files into so many chunks, by a stable hash."
    )


class Aggregate(Model):
    """A tasklet that is run once, over all outputs in order."""

    tasklet: Tasklet = Field(description="The tasklet that reads all outputs.")


class JobLease(Model):
    """Where the workers come from: poolRefs or requirements; without either, the default pool."""

    pool_refs: PoolReferences = Field(default=(), description="Pools in order of preference.")
    requirements: LeaseRequirements | None = Field(
        default=None, description="What any pool must offer, instead of poolRefs."
    )
    ttl_seconds: Seconds = Field(default=DEFAULT_TTL_SECONDS, description="Time to live between renewals.")
    renew_at_percent: Annotated[Whole, Field(ge=10, le=90)] = Field(
        default=70, description="Renewed when so much of the time to live has passed."
    )


class Retry(Model):
    """How often a chunk is tried again after a transient fault."""

    max_retries: Annotated[Whole, Field(le=1000)] = Field(default=3, description="Tries after the first.")
    initial_backoff_milliseconds: Milliseconds = Field(default=1000, description="Pause before the first of them.")
    max_backoff_milliseconds: Milliseconds = Field(default=16000, description="Longest pause; it doubles up to this.")


class Cache(Model):
    """Results that outlive the job, by hash of module, args, env and input."""

    name: Name = Field(description="Name of the block lease that keeps them.")
    size: StoreBytes = Field(default=GIBI, description="Size of it.")
    retain_seconds: Seconds = Field(default=86400, description="So long it is kept after its last use.")


class ClaimReference(Model):
    """A PersistentVolumeClaim of the same namespace."""

    claim_name: Name = Field(description="Name of the claim in the same namespace.")


class CopyTarget(Model):
    """Where a copy of the outputs goes: either uri or persistentVolumeClaim."""

    uri: Text | None = Field(default=None, description="URI of a directory.")
    persistent_volume_claim: ClaimReference | None = Field(
        default=None, description="A volume of one's own: the copy is a directory in it, of the job's name."
    )


class Output(Model):
    """Where outputs are kept."""

    store: OutputStore = Field(
        default=OutputStore.BLOCK, description="Block: in a block lease of the job. None: small outputs return inline."
    )
    size: StoreBytes = Field(default=GIBI, description="Size of the store.")
    retain_seconds: SecondsOrZero = Field(default=3600, description="So long outputs are kept that nobody has fetched.")
    copy_to: CopyTarget | None = Field(default=None, description="Where a copy goes at the end.")
    layout: OutputLayout = Field(
        default=OutputLayout.BY_INDEX,
        description="ByIndex: <index>/stdout, <index>/<file>. ByPath: own paths, stdout at <path>.stdout.",
    )


class RunSpec(Model):
    """How a run is carried out: what a Job and a TaskGraph have in common."""

    parallelism: Count = Field(
        default=DEFAULT_PARALLELISM, description="Members wanted; with fewer to be had, it runs on those."
    )
    min_parallelism: Count = Field(default=1, description="Members without which it does not start.")
    max_failed_chunks: Whole = Field(
        default=0, description="With more failed chunks the job has failed; the others still run."
    )
    lease: JobLease = Field(default=JobLease(), description="Where the workers come from.")
    retry: Retry = Field(default=Retry(), description="How often a chunk is tried again after a transient fault.")
    cache: Cache | None = Field(default=None, description="Results that outlive the job.")
    data_secret_ref: Reference | None = Field(
        default=None,
        description="Secret with which buckets are entered: its keys are AWS_ACCESS_KEY_ID and so on. For a cluster.",
    )
    output: Output = Field(default=Output(), description="Where outputs are kept.")
    priority: Priority = Field(default=0, description="Its leases stand before those of lower ones in the queue.")
    suspend: Flag = Field(default=False, description="True: releases its workers and waits.")
    active_deadline_seconds: Seconds | None = Field(
        default=None, description="The job fails when it has run for so long."
    )
    ttl_seconds_after_finished: SecondsOrZero = Field(
        default=3600, description="So long the object stays after the end."
    )


class JobSpec(RunSpec):
    """What is to be done."""

    tasklet: Tasklet = Field(description="The program that is run for each chunk.")
    input: JobInput = Field(description="The inputs: one of items, count, lines and files.")
    aggregate: Aggregate | None = Field(default=None, description="Run once over all outputs in order.")


class Job(Model):
    """One tasklet over many inputs, in parallel."""

    api_version: Literal["leasegrid.dev/v1alpha1"] = Field(description="leasegrid.dev/v1alpha1")
    kind: Literal["Job"] = Field(description="Job")
    metadata: ObjectMeta = Field(description="Name, namespace, labels, annotations.")
    spec: JobSpec = Field(description="What is to be done.")
    status: JobStatus | None = Field(
        default=None, description="What has been done; written by the coordinator's fabric alone."
    )
