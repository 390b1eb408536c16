"""What the operator shows of itself at `/metrics`. Labels come from fixed sets, never from names or messages."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client import Counter as Count
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from leasegrid.api.enums import ResourceKind
from leasegrid_operator.cluster import Write
from tasklet_runner.wire.member import MemberState

CLAIM_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
WARMUP_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
MOST_WORDS = 64
"""So many different values a label whose words others choose may have; all further ones count as `Other`."""


@dataclass
class MemberFigures:
    """How many members are under lease by kind, and how many there are by state; what is missing is 0."""

    active: Counter[ResourceKind] = field(default_factory=Counter)
    states: Counter[MemberState] = field(default_factory=Counter)


class Doorway(Protocol):
    """Connections that stand at the broker's door, and those for which there was no room."""

    @property
    def connections(self) -> int:
        """Now."""
        ...

    @property
    def refused(self) -> int:
        """Ever."""
        ...


class OperatorMetrics:
    """The figures of one operator, in a registry of its own. Durations are in seconds."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry(auto_describe=True)
        self._acquired = Count("leasegrid_leases_acquired", "Leases that were bound.", registry=registry)
        self._ended = Count("leasegrid_leases_ended", "Leases that ended, by reason.", ["reason"], registry=registry)
        self._claims = Histogram(
            "leasegrid_claim_duration_seconds",
            "From a lease's creation to its binding.",
            buckets=CLAIM_BUCKETS,
            registry=registry,
        )
        self._warmups = Histogram(
            "leasegrid_pool_warmup_seconds",
            "From a member's creation until it is ready.",
            buckets=WARMUP_BUCKETS,
            registry=registry,
        )
        self._writes = Count(
            "leasegrid_api_writes",
            "Writes that the API server answered.",
            ["verb", "kind", "accepted"],
            registry=registry,
        )
        self._hints = Count("leasegrid_hints", "Hints that members sent.", registry=registry)
        self._requests = Count(
            "leasegrid_broker_requests",
            "Requests to the broker, by the code of its answer.",
            ["code"],
            registry=registry,
        )
        self._leads = Gauge("leasegrid_leader", "1 while this replica leads.", registry=registry)
        self._reasons, self._codes = _Words(), _Words()

    def look_at(self, members: Callable[[], MemberFigures]) -> None:
        """Count the members by this each time the figures are read; to be called once."""
        self.registry.register(_Members(members))

    def look_at_door(self, door: Doorway) -> None:
        """Count its connections each time the figures are read; to be called once."""
        self.registry.register(_Door(door))

    def acquired(self, seconds: float) -> None:
        """A lease was bound, so long after it was asked for."""
        self._acquired.inc()
        self._claims.observe(seconds)

    def ended(self, reason: str) -> None:
        """A lease ended; `reason` is one of the reasons of its condition Released."""
        self._ended.labels(self._reasons.kept(reason)).inc()

    def warmed(self, seconds: float) -> None:
        """A member became ready, so long after its creation."""
        self._warmups.observe(seconds)

    def wrote(self, write: Write) -> None:
        """The API server answered a write."""
        self._writes.labels(write.verb, write.resource.kind, str(write.accepted).lower()).inc()

    def hinted(self) -> None:
        """A member sent a hint."""
        self._hints.inc()

    def answered(self, code: str) -> None:
        """The broker answered a request: `OK`, or the code of an error."""
        self._requests.labels(self._codes.kept(code)).inc()

    def leads(self, leads: bool) -> None:
        """Whether this replica leads."""
        self._leads.set(float(leads))


class _Members(Collector):
    """Counted when read: a pool of thousands changes more often than anybody looks."""

    def __init__(self, look: Callable[[], MemberFigures]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        figures = self._look()
        for kind in ResourceKind:
            name = f"leasegrid_{kind.value.lower()}_leases_active"
            yield GaugeMetricFamily(name, f"{kind.value} members under lease.", value=figures.active[kind])
        members = GaugeMetricFamily("leasegrid_pool_members", "Members by state.", labels=["state"])
        for state in MemberState:
            members.add_metric([state.value], figures.states[state])
        yield members


class _Door(Collector):
    def __init__(self, door: Doorway) -> None:
        self._door = door

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("leasegrid_door_connections", "Connections that stand.", value=self._door.connections)
        meaning = "Connections for which there was no room."
        yield CounterMetricFamily("leasegrid_door_refused", meaning, value=self._door.refused)


class _Words:
    """The values that a label has had."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def kept(self, word: str) -> str:
        if word not in self._seen and len(self._seen) >= MOST_WORDS:
            return "Other"
        self._seen.add(word)
        return word
