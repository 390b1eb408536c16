"""The installation's key is another: what docs/operate.md says to do then is enough."""

from pathlib import Path

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import operator_rig
from tests.support.cluster.plane import accepted


@pytest.mark.unhappy("the operator's key is lost or changed")
def test_members_of_an_older_key_are_replaced_and_their_successors_are_leased(
    controlled: ControlPlane, tmp_path: Path
) -> None:
    with operator_rig(controlled, tmp_path) as rig:
        rig.start()
        rig.pool(2, maxSize=3)
        rig.until_members(ready=2)
        rig.lease("before", ttlSeconds=20)
        rig.until_bound("before")
        rig.until_members(claimed=1, ready=2)
        old = {pod["metadata"]["name"] for pod in rig.all("pods")}
        rig.replicas["a"].stop()
        secret = f"/api/v1/namespaces/{rig.namespace}/secrets/leasegrid-operator-key"
        accepted(rig.plane.api.ask("DELETE", secret))

        rig.start()
        rig.until_leads("a")
        rig.lease("after")
        bound = rig.until_bound("after")
        assert not set(bound) & old
        # What is held is left alone until its deadline.
        rig.until_said("before", "Released", "Expired")
        rig.until_gone("pods", *old)
        rig.until_members(claimed=1, ready=2)
