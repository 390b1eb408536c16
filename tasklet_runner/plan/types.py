"""What a Job is compiled to:

stages in waves. Everything is plain data, so that a successor can read it from the store.
"""

from enum import StrEnum

import msgspec

from tasklet_runner.wire.programs import Language, Limits, Mode, PartitionBy

WHEELS_PATH = "/wheels"
"""Where wheels are unpacked in the sandbox: the last directory of PYTHONPATH."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes come from:

    an absolute path or a URI (`oci://` before the reference of a module in a registry), or the text itself; `digest`
    (SHA-256, hex) is checked when given; `secret` names the Secret with which a registry is entered. What stands in an
    object of the cluster (`configmap://<name>/<key>`) is given to a coordinator beside its plan.
    """

    uri: str = ""
    inline: str | None = None
    digest: str = ""
    secret: str = ""


class MountSource(msgspec.Struct, frozen=True, kw_only=True):
    """A directory (or file) that every chunk sees read-only at `path`."""

    path: str
    source: Source


class TaskletPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A tasklet before its sources are read; `wire.programs.Program` is the same thing afterwards."""

    name: str
    language: Language
    source: Source
    mode: Mode = Mode.FRESH
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    mounts: tuple[MountSource, ...] = ()
    wheels: tuple[Source, ...] = ()
    limits: Limits = Limits()
    input_files: bool = False
    output_files: bool = False
    durable: bool = False


class Requirements(msgspec.Struct, frozen=True, order=True):
    """What a chunk needs of a member: slots of one member, bytes of the member's memory (0: whatever), CPU features."""

    slots: int = 1
    memory: int = 0
    cpu_features: tuple[str, ...] = ()


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One input given in the spec itself."""

    value: str
    requirements: Requirements | None = None


class ItemsInput(msgspec.Struct, frozen=True, kw_only=True, tag="items"):
    """A chunk per item, or per shard of items."""

    items: tuple[Item, ...]
    shards: int = 0


class CountInput(msgspec.Struct, frozen=True, kw_only=True, tag="count"):
    """So many chunks without input."""

    count: int


class LinesInput(msgspec.Struct, frozen=True, kw_only=True, tag="lines"):
    """A chunk per so many lines of a text, newlines kept, or per shard of lines."""

    source: Source
    per_chunk: int = 1
    shards: int = 0


class FilesInput(msgspec.Struct, frozen=True, kw_only=True, tag="files"):
    """A chunk per file that a glob names, in sorted order, or per shard of files.

    Globs and root are absolute or URIs.
    """

    globs: tuple[str, ...]
    root: str
    shards: int = 0


class StageInput(msgspec.Struct, frozen=True, kw_only=True, tag="stages"):
    """The outputs of earlier stages: all of them in one chunk (`gather`), a chunk per upstream chunk, or, when they are
    shuffled, a chunk per partition.
    """

    stages: tuple[str, ...]
    gather: bool = False


Input = ItemsInput | CountInput | LinesInput | FilesInput | StageInput


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Back-off of transient faults of a chunk, in milliseconds."""

    max_retries: int = 3
    initial_backoff_milliseconds: int = 1000
    max_backoff_milliseconds: int = 16000


class LeaseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Where workers come from and for how long: pools by name in order of preference (empty: the default pool)."""

    pools: tuple[str, ...] = ()
    requirements: Requirements = Requirements()
    ttl_seconds: int = 120
    renew_at_percent: int = 70
    max_lifetime_seconds: int = 86400
    priority: int = 0


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A named cache of results that outlives the job."""

    name: str
    size: int
    retain_seconds: int


class Layout(StrEnum):
    """How outputs stand in a results directory."""

    BY_INDEX = "ByIndex"
    BY_PATH = "ByPath"


class OutputSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The job's store (`size` in bytes; `store` None:

    small outputs inline), how long it stays unfetched, and where a copy goes (an absolute path or URI of a directory;
    `claim`: the PersistentVolumeClaim with a directory of the job's name).
    """

    store: str = "Block"
    size: int = 1024**3
    retain_seconds: int = 3600
    copy_to: str = ""
    claim: str = ""
    layout: Layout = Layout.BY_INDEX


class Medium(StrEnum):
    """Where partitions wait: the resource of the lease that holds them."""

    MEMORY = "Memory"
    BLOCK = "Block"


class ShuffleMode(StrEnum):
    """Readers start after all writers. Barrier: their inputs are fetched then. Stream: what is committed is fetched at
    once, told by queues.
    """

    BARRIER = "Barrier"
    STREAM = "Stream"


class Shuffle(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage's outputs are divided among the chunks of the stages that read it; `size` in bytes, for all."""

    partitions: int
    by: PartitionBy = PartitionBy.KEY
    medium: Medium = Medium.MEMORY
    mode: ShuffleMode = ShuffleMode.BARRIER
    size: int = 512 * 1024**2


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One tasklet over one input. With `shuffle` its outputs are partitions in a lease of their own."""

    name: str
    tasklet: TaskletPlan
    input: Input
    depends_on: tuple[str, ...] = ()
    parallelism: int = 1
    min_parallelism: int = 1
    max_failed_chunks: int = 0
    retry: RetryPolicy = RetryPolicy()
    lease: LeaseTerms = LeaseTerms()
    cache: CacheSettings | None = None
    shuffle: Shuffle | None = None


class Kind(StrEnum):
    """What a plan was made from."""

    JOB = "Job"
    TASK_GRAPH = "TaskGraph"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole job: stages, and the waves in which they run (names; those of one wave run side by side).

    `data_secret` names the Secret with which buckets are entered.
    """

    namespace: str
    name: str
    stages: tuple[Stage, ...]
    waves: tuple[tuple[str, ...], ...]
    kind: Kind = Kind.JOB
    output: OutputSettings = OutputSettings()
    active_deadline_seconds: int = 0
    suspended: bool = False
    data_secret: str = ""

    def stage(self, name: str) -> Stage:
        """The stage of that name; raises KeyError when there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    @property
    def sinks(self) -> tuple[Stage, ...]:
        """The stages whose outputs are delivered: all of a Job, those of a TaskGraph that no other stage reads."""
        if self.kind is Kind.JOB:
            return self.stages
        read = {name for stage in self.stages if isinstance(stage.input, StageInput) for name in stage.input.stages}
        return tuple(stage for stage in self.stages if stage.name not in read)
