"""What a member shows at `/metrics`: read when asked, never on the task path."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tasklet_runner.member.progress import DURATION_BUCKETS, Tally, Traffic
from tasklet_runner.wire.member import MemberState

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from tasklet_runner.doors.crowd import Crowd
    from tasklet_runner.member.checkpoints import CheckpointTally
    from tasklet_runner.member.core import MemberCore

Figures = Callable[[], "Iterator[Metric]"]
"""What a facility shows of itself."""


def exposition(core: "MemberCore", figures: Figures, crowd: "Crowd") -> tuple[bytes, str]:
    """The metrics as text, and its content type."""
    # Here and not above: most members are never asked, and the library costs memory in each.
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(core, figures, crowd))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, core: "MemberCore", figures: Figures, crowd: "Crowd") -> None:
        self._core = core
        self._figures = figures
        self._crowd = crowd

    def collect(self) -> "Iterator[Metric]":
        """Called by prometheus-client."""
        from prometheus_client.core import GaugeMetricFamily

        states = self._core.states
        yield from self._figures()
        yield from door_figures(self._crowd)
        state = GaugeMetricFamily("leasegrid_pool_members", "1 for the member's state.", labels=["state"])
        for each in MemberState:
            state.add_metric([each.value], float(each is states.state))
        yield state
        role = states.identity.role.value.lower()
        active = GaugeMetricFamily(f"leasegrid_{role}_leases_active", "1 while the member is leased.")
        active.add_metric([], float(states.claim is not None))
        yield active


def door_figures(crowd: "Crowd") -> "Iterator[Metric]":
    """Who stands at the member's door, and how many it had no room for."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    standing = GaugeMetricFamily("leasegrid_door_connections", "Connections that stand.")
    standing.add_metric([], crowd.total)
    yield standing
    refused = CounterMetricFamily("leasegrid_door_refused", "Connections for which there was no room.")
    refused.add_metric([], crowd.refused)
    yield refused


def tasklet_figures(tally: Tally, traffic: Traffic) -> "Iterator[Metric]":
    """How many tasklets a member has started in its life, how long they took, and what went to and came from stores."""
    from prometheus_client.core import CounterMetricFamily

    launched = CounterMetricFamily("leasegrid_tasklets_launched", "Tasklets that were started.")
    launched.add_metric([], tally.tasklets)
    yield launched
    written = CounterMetricFamily("leasegrid_artifact_bytes_written", "Bytes of outputs that were put into stores.")
    written.add_metric([], traffic.put_bytes)
    yield written
    fetched = CounterMetricFamily("leasegrid_artifact_bytes_fetched", "Bytes of inputs that were got from stores.")
    fetched.add_metric([], traffic.fetched_bytes)
    yield fetched
    ahead = CounterMetricFamily(
        "leasegrid_artifact_bytes_fetched_ahead", "Bytes of inputs that were got before their tasks came."
    )
    ahead.add_metric([], traffic.ahead_bytes)
    yield ahead
    meaning = "Wall-clock time of tasklets in milliseconds."
    yield _histogram("tasklet_duration_ms", meaning, tally.durations, tally.wall_microseconds / 1000)


def store_figures(used_bytes: int, quota_bytes: int) -> "Iterator[Metric]":
    """How full a store member is."""
    from prometheus_client.core import GaugeMetricFamily

    used = GaugeMetricFamily("leasegrid_store_used_bytes", "Bytes of all objects.")
    used.add_metric([], used_bytes)
    yield used
    quota = GaugeMetricFamily("leasegrid_store_quota_bytes", "Bytes of objects that the store takes.")
    quota.add_metric([], quota_bytes)
    yield quota


def checkpoint_figures(tally: "CheckpointTally") -> "Iterator[Metric]":
    """What a member kept of the /durable of its tasks in its life."""
    from prometheus_client.core import CounterMetricFamily

    counters = (
        ("checkpoint_bytes_written", "Bytes of checkpoints that were put into stores.", tally.byte_count),
        ("checkpoint_success", "Checkpoints that a store has.", tally.kept),
        ("checkpoint_fail", "Checkpoints that could not be kept.", tally.failed),
        ("resume_count", "Tasklets that began with a checkpoint.", tally.resumed),
    )
    for name, meaning, value in counters:
        counter = CounterMetricFamily(f"leasegrid_{name}", meaning)
        counter.add_metric([], value)
        yield counter
    meaning = "Time from the taking of a checkpoint until a store has it, in milliseconds."
    yield _histogram("checkpoint_duration_ms", meaning, tally.durations, tally.milliseconds)


def _histogram(name: str, meaning: str, numbers: Sequence[int], milliseconds: float) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    histogram = HistogramMetricFamily(f"leasegrid_{name}", meaning)
    buckets, total = [], 0
    for bound, number in zip((*map(str, DURATION_BUCKETS), "+Inf"), numbers, strict=True):
        total += number
        buckets.append((bound, float(total)))
    histogram.add_metric([], buckets, milliseconds)
    return histogram
