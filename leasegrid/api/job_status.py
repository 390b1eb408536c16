"""What a Job or a TaskGraph shows of its run."""

from pydantic import Field

from leasegrid.api.common import Conditions, Instant, Model, Whole
from leasegrid.api.lease import LeaseReceipt


class ChunkCounts(Model):
    """Chunks by what became of them."""

    total: Whole = Field(default=0, description="All chunks.")
    succeeded: Whole = Field(default=0, description="Chunks with an output.")
    failed: Whole = Field(default=0, description="Chunks that ended with a fault.")
    retried: Whole = Field(default=0, description="Tries after a first one.")
    cached: Whole = Field(default=0, description="Chunks whose output came from the cache.")
    skipped: Whole = Field(default=0, description="Chunks that were not needed any more.")


class TimelineEntry(Model):
    """A change of the run's shape."""

    after_milliseconds: Whole = Field(description="Time since the start.")
    leased: Whole = Field(description="Members under lease.")
    running: Whole = Field(description="Chunks that run.")
    done: Whole = Field(description="Chunks that are done.")


class AccessAnswer(Model):
    """The answer to the annotation leasegrid.dev/access."""

    key: str = Field(description="The public key in that annotation.")
    sealed: str = Field(description="The way into the job's store, for the owner of that key alone.")
    expire_time: Instant = Field(description="When it ends.")


class RunStatus(Model):
    """What both show."""

    start_time: Instant | None = Field(default=None, description="When it started.")
    completion_time: Instant | None = Field(default=None, description="When it ended.")
    chunks: ChunkCounts = Field(default=ChunkCounts(), description="Chunks by what became of them.")
    workers: Whole = Field(default=0, description="Members that work for it now.")
    coordinator_generation: Whole = Field(default=0, description="Term of its coordinator.")
    coordinator_after_milliseconds: Whole | None = Field(
        default=None, description="When that coordinator began, by the timeline; absent until it has told something."
    )
    result_location: str = Field(default="", description="Where the outputs are.")
    timeline: tuple[TimelineEntry, ...] = Field(
        default=(), max_length=1024, description="Change points of the run, thinned to a bounded number."
    )
    outputs: str = Field(default="", description="Small outputs where none are kept, as JSON; at most 32 KiB.")
    access: AccessAnswer | None = Field(default=None, description="A way into the job's store, for who asked for it.")
    receipt: LeaseReceipt | None = Field(default=None, description="What its leases left behind in writing.")
    conditions: Conditions = Field(default=(), description="Progressing, Complete, Failed, Suspended.")


class JobStatus(RunStatus):
    """What has been done."""

    completed_indexes: str = Field(default="", description="Chunks that succeeded, as 0-4,7; at most 16 KiB.")
    failed_indexes: str = Field(default="", description="Chunks that failed, as 0-4,7; at most 16 KiB.")
