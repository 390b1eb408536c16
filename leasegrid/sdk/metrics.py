"""What a program's checkpoints did, for Prometheus."""

from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

DURATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class CheckpointMetrics:
    """In one registry once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.bytes_written = Counter(
            "leasegrid_checkpoint_bytes_written", "Bytes of checkpoints that were kept, as sent.", registry=registry
        )
        self.duration = Histogram(
            "leasegrid_checkpoint_duration_ms",
            "From the state to the store's word.",
            buckets=DURATIONS,
            registry=registry,
        )
        self.success = Counter("leasegrid_checkpoint_success", "Checkpoints that were kept.", registry=registry)
        self.fail = Counter("leasegrid_checkpoint_fail", "Tries that failed.", registry=registry)
        self.resume = Counter("leasegrid_resume_count", "Times that a state was restored.", registry=registry)


@cache
def metrics_in(registry: CollectorRegistry = REGISTRY) -> CheckpointMetrics:
    """The metrics of a registry, made when they are first asked for."""
    return CheckpointMetrics(registry)
