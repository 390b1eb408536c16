"""What a job names of its namespace, as `rules.job_control` sees it."""

from collections.abc import Callable
from contextlib import suppress

from leasegrid.rules.job_sights import ReferenceSight
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.jobs.supplying import LackingError, fetch_supplies
from tasklet_runner.wire.jobs import Supplies


class JobReferences:
    """Of one job. `wall`: UNIX seconds. Nothing that was read is kept."""

    def __init__(self, cluster: Cluster, wall: Callable[[], float]) -> None:
        self._cluster = cluster
        self._wall = wall
        self._seen = ReferenceSight(there=False)

    def sight(self, facts: JobFacts) -> ReferenceSight:
        """What the last look showed."""
        return self._seen if facts.needs else ReferenceSight()

    async def look(self, facts: JobFacts) -> None:
        """See whether all that it names is there. Raises ClusterError."""
        with suppress(LackingError):
            await self.fetch(facts)

    async def fetch(self, facts: JobFacts) -> Supplies:
        """Read it. Raises LackingError, ClusterError."""
        if not facts.needs:
            return Supplies()
        try:
            found = await fetch_supplies(self._cluster, facts.key.namespace, facts.needs)
        except LackingError as error:
            self._seen = ReferenceSight(False, error.cause, self._wall())
            raise
        self._seen = ReferenceSight()
        return found
