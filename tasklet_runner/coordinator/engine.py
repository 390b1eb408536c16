"""The coordinator: executes a plan on a fabric. It is itself only a lease holder."""

from tasklet_runner.coordinator.progress import Phase, Progress, RunReport, TimelinePoint
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.plan.types import Plan


class Coordinator:
    """One run of one plan."""

    def __init__(self, plan: Plan, surroundings: Surroundings) -> None:
        self._plan = plan
        self._surroundings = surroundings

    async def run(self) -> RunReport:
        """Execute the plan; returns however it ends."""
        raise NotImplementedError

    def progress(self) -> Progress:
        """A snapshot, cheap enough for ten a second."""
        return Progress(phase=Phase.PREPARING, elapsed=0.0, stages=())

    def timeline(self) -> tuple[TimelinePoint, ...]:
        """The run's shape so far."""
        return ()

    def stop(self, reason: str) -> None:
        """End the run: dispatch nothing more, release all leases, report `reason`."""
