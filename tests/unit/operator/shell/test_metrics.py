"""The operator's figures, as Prometheus reads them."""

from collections import Counter

from prometheus_client import generate_latest

from leasegrid.api.enums import ResourceKind
from leasegrid_operator.cluster import Write
from leasegrid_operator.metrics import MOST_WORDS, MemberFigures, OperatorMetrics
from leasegrid_operator.resources import LEASES
from tasklet_runner.wire.member import MemberState


def shown(metrics: OperatorMetrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


class Standing:
    """A door with four connections, which refused seven."""

    connections = 4
    refused = 7


def test_each_figure_has_its_name_and_labels() -> None:
    metrics = OperatorMetrics()
    metrics.look_at(lambda: MemberFigures(Counter({ResourceKind.CPU: 3}), Counter({MemberState.READY: 2})))
    metrics.look_at_door(Standing())
    metrics.acquired(0.004)
    metrics.ended("Expired")
    metrics.warmed(1.5)
    metrics.wrote(Write("patch_status", LEASES, accepted=True, version="3"))
    metrics.hinted()
    metrics.answered("NotLeader")
    metrics.leads(True)

    lines = shown(metrics)

    for line in (
        "leasegrid_cpu_leases_active 3.0",
        "leasegrid_block_leases_active 0.0",
        'leasegrid_pool_members{state="ready"} 2.0',
        'leasegrid_pool_members{state="fenced"} 0.0',
        "leasegrid_leases_acquired_total 1.0",
        'leasegrid_leases_ended_total{reason="Expired"} 1.0',
        'leasegrid_claim_duration_seconds_bucket{le="0.005"} 1.0',
        'leasegrid_pool_warmup_seconds_bucket{le="2.0"} 1.0',
        'leasegrid_api_writes_total{accepted="true",kind="Lease",verb="patch_status"} 1.0',
        "leasegrid_hints_total 1.0",
        'leasegrid_broker_requests_total{code="NotLeader"} 1.0',
        "leasegrid_leader 1.0",
        "leasegrid_door_connections 4.0",
        "leasegrid_door_refused_total 7.0",
    ):
        assert line in lines


def test_two_operators_in_one_process_count_apart() -> None:
    first, second = OperatorMetrics(), OperatorMetrics()
    first.hinted()

    assert "leasegrid_hints_total 0.0" in shown(second)


def test_labels_never_grow_without_bound() -> None:
    metrics = OperatorMetrics()
    for number in range(MOST_WORDS + 10):
        metrics.answered(f"code-{number}")

    lines = [line for line in shown(metrics) if line.startswith("leasegrid_broker_requests_total")]
    assert len(lines) == MOST_WORDS + 1
    assert 'leasegrid_broker_requests_total{code="Other"} 10.0' in lines
