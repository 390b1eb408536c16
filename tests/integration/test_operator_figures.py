"""What a running operator shows at /metrics is what there is."""

import urllib.request
from pathlib import Path

from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import metric, operator_rig

CLAIMED, READY = (f'leasegrid_pool_members{{state="{state}"}}' for state in ("claimed", "ready"))


def test_members_leases_and_answers_are_counted_at_the_leader_and_at_no_follower(
    controlled: ControlPlane, tmp_path: Path
) -> None:
    with operator_rig(controlled, tmp_path) as rig:
        leader = rig.start("a")
        rig.until_leads("a")
        follower = rig.start("b")
        rig.pool(2, maxSize=3)
        rig.until_members(ready=2)
        rig.lease("one")
        rig.until_bound("one")
        rig.until_members(claimed=1, ready=2)
        assert (metric(leader, CLAIMED), metric(leader, READY)) == (1.0, 2.0)
        assert metric(leader, "leasegrid_cpu_leases_active") == 1.0
        assert metric(follower, "leasegrid_pool_members") == 0.0

        with urllib.request.urlopen(f"{leader.broker}/v1/openapi.json", timeout=10) as answer:  # noqa: S310 - our own
            assert answer.status == 200
        assert metric(leader, 'leasegrid_broker_requests_total{code="OK"}') >= 1.0
        rig.delete("leases", "one")
        rig.wait(lambda: metric(leader, "leasegrid_cpu_leases_active"), lambda held: held == 0.0, "nothing is held")
