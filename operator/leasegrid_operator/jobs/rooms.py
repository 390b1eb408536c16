"""The jobs of one namespace, and their leases among all leases of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from leasegrid.api.common import API_VERSION
from leasegrid_operator.jobs.held import JobLease
from leasegrid_operator.jobs.keeping import JobKeeper
from leasegrid_operator.jobs.office import JobOffice
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.leases.acquiring import NamespaceDesk
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.errors import LeaseEndedError, NotLeaderError, RefusedError
from tasklet_runner.wire.jobs import Instruction, JobReport, Order


@dataclass(frozen=True)
class JobLeases:
    """Implements `LeaseMaker` on the desk of a namespace."""

    desk: NamespaceDesk

    def follow(self, facts: JobFacts, changed: Callable[[], None]) -> JobLease:
        """See `LeaseMaker`."""
        return JobLease(replace(self.desk, owner=owner_of(facts)), changed, self._words)

    def lives(self, name: str) -> bool:
        """See `LeaseMaker`."""
        return self.desk.engine.parts.table.of_request(name) is not None

    def is_bound(self, name: str) -> bool:
        """See `LeaseMaker`."""
        record = self.desk.engine.parts.table.of_request(name)
        return record is not None and record.settled.done() and not record.ended

    def receipts(self, key: str) -> tuple[Receipt, ...]:
        """See `LeaseMaker`."""
        files = self.desk.leases.files.values()
        mine = [one for one in files if one.facts.spec is not None and one.facts.spec.holder_key == key]
        return tuple(one.receipt for one in mine if one.receipt is not None)

    def _words(self, name: str) -> str:
        record = self.desk.engine.parts.table.of_request(name)
        if record is None or not record.waiting_because:
            return ""
        place = f" (place {record.queue_position} in the queue)" if record.queue_position else ""
        return f"{record.waiting_because}{place}"


class JobRoom:
    """Keeps every job of a namespace; made inside a running event loop. `begin` once leases are taken over."""

    def __init__(self, office: JobOffice) -> None:
        self._office = office
        self._facts: dict[str, JobFacts] = {}
        self._keepers: dict[str, JobKeeper] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._begun = False

    def seen(self, facts: JobFacts) -> None:
        """An object as it is now."""
        self._facts[facts.uid] = facts
        keeper = self._keepers.get(facts.uid)
        if keeper is not None:
            keeper.seen(facts)
        elif self._begun:
            self._keepers[facts.uid] = JobKeeper(facts, self._office)

    def gone(self, uid: str) -> None:
        """An object is deleted; its leases are its dependents, and go the same way."""
        self._facts.pop(uid, None)
        keeper = self._keepers.pop(uid, None)
        if keeper is not None:
            task = asyncio.get_running_loop().create_task(keeper.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def begin(self) -> None:
        """Decide from now on."""
        self._begun = True
        for facts in list(self._facts.values()):
            self.seen(facts)

    def keeper_of(self, lease: str) -> JobKeeper:
        """That of the job whose coordinator has this lease. Raises RefusedError: there is none; NotLeaderError: it is
        not known yet.
        """
        for keeper in self._keepers.values():
            if keeper.coordinates(lease):
                return keeper
        if any(keeper.looks for keeper in self._keepers.values()):
            raise NotLeaderError("")
        raise RefusedError("Forbidden", "only the coordinator of a job acquires below its lease", remedy="use a token")

    def reported(self, lease: str, report: JobReport) -> Instruction:
        """What a coordinator says. Raises LeaseEndedError where no job of that uid is known."""
        keeper = self._keepers.get(report.uid)
        if report.uid in self._facts and (keeper is None or keeper.looks):
            return Instruction(order=Order.GO_ON, why="the operator is starting")
        if keeper is None:
            raise LeaseEndedError("the job's object was deleted", remedy="end, and release everything")
        if not keeper.coordinates(lease):
            return Instruction(order=Order.FENCED, why="another coordinator runs this job")
        return keeper.reported(report)

    async def close(self) -> None:
        """Decide and write nothing more."""
        await asyncio.gather(*self._closing, *(keeper.close() for keeper in self._keepers.values()))
        self._keepers.clear()


def owner_of(facts: JobFacts) -> dict[str, object]:
    """To whom the leases of a job belong: they are deleted with its object."""
    return {
        "apiVersion": API_VERSION,
        "kind": facts.kind,
        "name": facts.key.name,
        "uid": facts.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
