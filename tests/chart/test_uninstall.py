"""A release that goes while leases are held: what docs/operate.md says of it, seen."""

from pathlib import Path

import pytest

from tests.chart.charting import Chart
from tests.chart.test_pools import APPLY, Hooks
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import SMALL, operator_rig

RELEASED = {"name": "released", "spec": {**SMALL, "targetSize": 1, "minSize": 0, "maxSize": 1}}


@pytest.mark.unhappy("a release is uninstalled while leases are held on its pools and on others")
def test_leases_on_the_releases_pools_end_at_once_and_the_others_at_their_deadline(
    chart: Chart, installed: ControlPlane, tmp_path: Path
) -> None:
    with operator_rig(installed, tmp_path) as rig:
        rig.start()
        hooks = Hooks(chart, installed, tmp_path / "account", rig.namespace)
        hooks.run(APPLY.apply, RELEASED)
        rig.pool(1, "own")
        rig.until_members("released", ready=1)
        rig.until_members("own", ready=1)
        rig.lease("on-released", poolRefs=[{"name": "released"}])
        rig.until_bound("on-released")

        hooks.run(APPLY.delete, RELEASED)
        rig.wait(
            lambda: rig.condition("on-released", "Bound"),
            lambda said: (said["status"], said["reason"]) == ("False", "MembersLost"),
            "who held members of the release's pool is told",
        )
        rig.until_gone("instancepools", "released")
        rig.lease("on-own", poolRefs=[{"name": "own"}], ttlSeconds=12)
        rig.until_bound("on-own")
        assert rig.replicas["a"].stop() == 0

        rig.until_free()
        assert rig.condition("on-own", "Bound")["status"] == "True", "nobody is there to write its end"
        # Without any operator: what a pool has made goes with it.
        rig.until_nothing_left()


@pytest.mark.unhappy("an operator that is installed again finds what was left")
def test_the_next_release_goes_on_with_pools_and_leases_that_stayed(
    chart: Chart, installed: ControlPlane, tmp_path: Path
) -> None:
    with operator_rig(installed, tmp_path) as rig:
        rig.start("a")
        rig.pool(1)
        rig.lease("short", ttlSeconds=6)
        rig.until_bound("short")
        rig.replicas["a"].stop()
        rig.until_free()

        rig.start("b")
        rig.until_said("short", "Released", "Expired")
        rig.lease("next")
        rig.until_bound("next")
