"""What a member shows at `/metrics`: read from the slots' shared pages when asked, never on the task path."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasklet_runner.member.progress import DURATION_BUCKETS, Tally
from tasklet_runner.wire.member import MemberState

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from tasklet_runner.member.core import MemberCore


def exposition(core: "MemberCore") -> tuple[bytes, str]:
    """The metrics as text, and its content type."""
    # Here and not above: most members are never asked, and the library costs memory in each.
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(core))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, core: "MemberCore") -> None:
        self._core = core

    def collect(self) -> "Iterator[Metric]":
        """Called by prometheus-client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        workshop, states = self._core.workshop, self._core.states
        tally = workshop.lifetime + workshop.tally()
        launched = CounterMetricFamily("leasegrid_tasklets_launched", "Tasklets that were started.")
        launched.add_metric([], tally.tasklets)
        yield launched
        yield _durations(tally)
        state = GaugeMetricFamily("leasegrid_pool_members", "1 for the member's state.", labels=["state"])
        for each in MemberState:
            state.add_metric([each.value], float(each is states.state))
        yield state
        active = GaugeMetricFamily("leasegrid_cpu_leases_active", "1 while the member is leased.")
        active.add_metric([], float(states.claim is not None))
        yield active


def _durations(tally: Tally) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    histogram = HistogramMetricFamily("leasegrid_tasklet_duration_ms", "Wall-clock time of tasklets in milliseconds.")
    buckets, total = [], 0
    for bound, number in zip((*map(str, DURATION_BUCKETS), "+Inf"), tally.durations, strict=True):
        total += number
        buckets.append((bound, float(total)))
    histogram.add_metric([], buckets, tally.wall_microseconds / 1000)
    return histogram
