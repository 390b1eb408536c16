"""The row with real members: processes of the runner, started by a process kubelet, with all of their sandbox."""

from benchmarks.claiming.outcomes import median
from benchmarks.claiming.rig import REAL, Generator, Rig, make_pool, ready_members
from benchmarks.claiming.sizes import Sizes
from benchmarks.claiming.words import failed, milliseconds, spread
from benchmarks.tables import Row, Table
from tests.support.cluster.beside import kubelet_beside
from tests.support.cluster.kubelet import KubeletSettings
from tests.support.cluster.plane import until

WARM_SECONDS = 180.0


def real(rig: Rig, table: Table, sizes: Sizes) -> None:
    """Serial claims, a burst, and one lease of all of them."""
    plane, count = rig.plane, sizes.real
    settings = KubeletSettings(nodes=("node-real",), cpu="1000", namespace=REAL)
    with kubelet_beside(plane.kubeconfig, settings=settings):
        generator = Generator(plane, REAL, rig.operator.broker)
        make_pool(plane, REAL, count, reuse="Reset", name="cpu")

        def ready() -> bool:
            return ready_members(plane, REAL, "cpu") == count

        until(ready, "the real members are ready", WARM_SECONDS)
        what = f"{count} real members"
        table.add(
            Row(f"{what}: serial claims", spread(generator.run("rounds", count=sizes.serial, width=1)), "", "", "")
        )
        until(ready, "all are ready again", WARM_SECONDS)
        outcome = generator.run("burst", count=count)
        told = f"all usable in {milliseconds(max(outcome.latencies, default=0.0))}{failed(outcome)}"
        table.add(Row(f"{what}: burst of {count} objects", told, "0.8-1.4 s", "", "400 ms"))
        outcomes = []
        for _ in range(3):
            # They fork their slots anew after each lease, and one that asks for all of them would wait for that.
            until(ready, "all are ready again", WARM_SECONDS)
            outcomes.append(generator.run("gang", count=count, times=1))
        told = f"p50 {milliseconds(median([one for outcome in outcomes for one in outcome.latencies]))}"
        failures = "".join(failed(outcome) for outcome in outcomes)
        table.add(Row(f"{what}: {count} in one lease", told + failures, "", "", "100 ms"))
        generator.close()
        plane.kubectl("delete", "lgpool", "--namespace", REAL, "cpu")
        plane.kubectl("wait", "--namespace", REAL, "--for=delete", "pods", "--all", "--timeout=60s")
