"""What a lease uses of a member: slots for tasklets, or a shelf of objects. The member's core knows no more."""

from typing import Protocol

from tasklet_runner.wire.member import Counters
from tasklet_runner.wire.statements import Bind


class Warden(Protocol):
    """Whom a facility tells that something in it has gone wrong: the member's core."""

    def taint(self) -> None:
        """This process is not used for another lease."""
        ...

    def fail(self, why: str) -> None:
        """The facility's own disk failed: the member drains and ends its lease."""
        ...


class Facility(Protocol):
    """One per member. Its errors are LeaseGridError and OSError; a reset that raises one makes the member `fenced`."""

    @property
    def epoch(self) -> int:
        """The last epoch that is written on its volume; 0 without one. Known once it is open."""
        ...

    @property
    def kept_lease_uid(self) -> str:
        """The lease whose data it keeps beyond the process's life; empty when there is none."""
        ...

    def attach(self, warden: Warden) -> None:
        """Say whom to tell of mishaps; called once, before anything else."""
        ...

    async def open(self) -> None:
        """Make it ready for a lease."""
        ...

    def check(self, bind: Bind) -> None:
        """Raise RefusedError when it can never serve this lease. Changes nothing."""
        ...

    def begin(self, bind: Bind) -> None:
        """The bind has been decided and will be answered when this returns: whatever must be durable first."""
        ...

    async def until_idle(self) -> None:
        """Wait until nothing runs."""
        ...

    async def warn(self, why: str) -> None:
        """Tell whoever is connected that the member is about to go."""
        ...

    def stop(self) -> None:
        """End what runs, at once: the claim is over."""
        ...

    async def dismiss(self, reason: str) -> None:
        """Tell whoever is connected why the lease has ended, and close; never waits for one that does not read."""
        ...

    def counters(self) -> Counters:
        """What the lease came to so far."""
        ...

    async def clear(self) -> int:
        """Leave nothing of the lease but what it is meant to keep; the bytes that were wiped."""
        ...
