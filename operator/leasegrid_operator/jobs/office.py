"""What all jobs of a namespace share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from leasegrid_operator.cluster import Cluster
from leasegrid_operator.jobs.copier_pods import CopierTemplate
from leasegrid_operator.jobs.held import JobLease
from leasegrid_operator.jobs.ordering import Commission
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.jobs.requests import JobKey
from tasklet_runner.fabric.protocol import Receipt


class LeaseMaker(Protocol):
    """The leases of jobs in one namespace."""

    def follow(self, facts: JobFacts, changed: Callable[[], None]) -> JobLease:
        """A follower of a lease that was not asked for yet; its object will belong to that of the job."""
        ...

    def lives(self, name: str) -> bool:
        """True while there is a lease of that request id that has not ended."""
        ...

    def is_bound(self, name: str) -> bool:
        """True while there is one that has had members."""
        ...

    def receipts(self, key: str) -> tuple[Receipt, ...]:
        """Those of all ended leases that this key held, and that are remembered."""
        ...


@dataclass(frozen=True)
class JobOffice:
    """What all jobs of a namespace share. `wall`: UNIX seconds; `order` has a member run a coordinator; `copier`: of
    who copies outputs into claims.
    """

    cluster: Cluster
    leases: LeaseMaker
    wall: Callable[[], float]
    key: Callable[[str], JobKey]
    order: Callable[[Commission], Awaitable[None]]
    copier: CopierTemplate
