"""The fixed words of the resources; every value stands in YAML as it is here."""

from enum import StrEnum


class ResourceKind(StrEnum):
    """What a member offers: tasklets, shared memory, or a persistent volume."""

    CPU = "CPU"
    MEMORY = "Memory"
    BLOCK = "Block"


class Reuse(StrEnum):
    """What becomes of a member after a lease: wiped and ready again, or ended and replaced."""

    RESET = "Reset"
    REPLACE = "Replace"


class OperatingMode(StrEnum):
    """Active: members are kept warm. Paused: nothing is made or ended. Draining: everything unclaimed ends."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    DRAINING = "Draining"


class RolloutStrategy(StrEnum):
    """How members follow a changed template: at their next reset, or a few at a time."""

    ON_CLAIM = "OnClaim"
    ROLLING = "Rolling"


class OnEmpty(StrEnum):
    """What a lease does when no member is ready: fail at once, wait in the queue, or have members made for it alone."""

    FAIL = "Fail"
    QUEUE = "Queue"
    PROVISION = "Provision"


class PythonMode(StrEnum):
    """Fresh: an interpreter per chunk. Loop: one interpreter, a line of JSON in and out per chunk."""

    FRESH = "Fresh"
    LOOP = "Loop"


class OutputFiles(StrEnum):
    """When a chunk has /out: when something names it, always, or never."""

    AUTO = "Auto"
    ALWAYS = "Always"
    NEVER = "Never"


class OutputStore(StrEnum):
    """Where a job's outputs are kept: in a block store, or nowhere (small ones return inline)."""

    BLOCK = "Block"
    NONE = "None"


class OutputLayout(StrEnum):
    """How outputs stand in a directory: `<index>/stdout` and `<index>/<file>`, or each file at its own path."""

    BY_INDEX = "ByIndex"
    BY_PATH = "ByPath"


class ShuffleBy(StrEnum):
    """How outputs are divided into partitions: by the keys of key-value lines, or by a file for each partition."""

    KEY = "Key"
    FILE = "File"


class ShuffleMedium(StrEnum):
    """Where partitions wait for their readers: in memory leases, or in block leases."""

    MEMORY = "Memory"
    BLOCK = "Block"


class ShuffleMode(StrEnum):
    """Barrier: partitions are fetched when their readers' tasks come. Stream: as each writer ends, told by queues."""

    BARRIER = "Barrier"
    STREAM = "Stream"


class TaskState(StrEnum):
    """What became of a task of a graph so far."""

    WAITING = "Waiting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class ConditionStatus(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"
