"""A lease that a job needs, followed: what its loss is, what is asked again, and that giving it back leaves nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from leasegrid.rules.job_control import LeaseState
from leasegrid_operator.errors import ServerUnavailableError
from leasegrid_operator.jobs import held
from leasegrid_operator.jobs.held import FOLLOWED, FORGOTTEN, LOST, JobLease
from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError, UnsupportedError

MEMBERS = tuple(
    LeasedMember(name=name, endpoint=f"http://{name}:8080", incarnation="i", epoch=1, slots=1, tasklet_memory=0)
    for name in ("first", "second", "third")
)
ONE, TWO, THREE = MEMBERS
VIEW = LeaseView(
    uid="uid", name="j-c1", version=1, members=(ONE,), capabilities=(), expires_in=30, ttl_seconds=30, wanted=1
)


@dataclass
class Scripted:
    """A fabric whose lease is what the test says; `refuses`: what the next calls raise. `asked`: what was called."""

    view: LeaseView = VIEW
    refuses: list[LeaseGridError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def becomes(self, *members: LeasedMember, ended: str = "", left: float = 30) -> None:
        """The lease is this from now on."""
        self.view = replace(self.view, version=self.view.version + 1, members=members, ended=ended, expires_in=left)
        self.changed.set()

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        self._note("acquire")
        return self.view

    async def watch(self, uid: str, version: int) -> LeaseView:
        while self.view.version <= version:
            self.changed.clear()
            await self.changed.wait()
        return self.view

    async def renew(self, uid: str) -> LeaseView:
        self._note("renew")
        self.view = replace(self.view, version=self.view.version + 1, expires_in=30)
        return self.view

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        self._note("release")
        return Receipt(lease_uid=uid, reason=reason, members=())

    async def withdraw(self, request: LeaseRequest, reason: str) -> None:
        self._note("withdraw")

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        return self.view

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        return self.view

    def _note(self, word: str) -> None:
        self.asked.append(word)
        if self.refuses:
            raise self.refuses.pop(0)


def request(resource: str = "CPU") -> LeaseRequest:
    return LeaseRequest(request_id="j-c1", holder_key="k", namespace="n", resource=resource, ttl_seconds=30)


def followed(work: Callable[[Scripted, JobLease], Awaitable[None]], resource: str = "CPU") -> list[str]:
    """Follow a lease while that is done; what the fabric was asked for."""

    async def run() -> list[str]:
        fabric = Scripted()
        lease = JobLease(fabric, lambda: None, lambda name: "")
        lease.acquire(request(resource))
        async with asyncio.timeout(30):
            await work(fabric, lease)
        await lease.close()
        return fabric.asked

    return asyncio.run(run())


async def until(lease: JobLease, state: LeaseState) -> str:
    while lease.sight.state is not state:  # noqa: ASYNC110 - what is waited for is other tasks of this loop
        await asyncio.sleep(0.001)
    return lease.sight.words


@pytest.mark.unhappy("a coordinator's member that is lost: its lease is given back, and gets no other one")
def test_a_lease_whose_needed_member_is_lost_is_released() -> None:
    async def lose(fabric: Scripted, lease: JobLease) -> None:
        await until(lease, LeaseState.BOUND)
        fabric.becomes(*MEMBERS)
        lease.need(ONE)
        fabric.becomes(TWO, THREE)
        assert await until(lease, LeaseState.ENDED) == LOST

    assert followed(lose) == ["acquire", "release"]


@pytest.mark.unhappy("a coordinator's member that is bound anew is another")
def test_a_member_of_a_later_epoch_is_not_the_needed_one() -> None:
    async def bind_again(fabric: Scripted, lease: JobLease) -> None:
        await until(lease, LeaseState.BOUND)
        lease.need(ONE)
        fabric.becomes(replace(ONE, epoch=2))
        await until(lease, LeaseState.ENDED)

    assert followed(bind_again) == ["acquire", "release"]


@pytest.mark.unhappy("a job's Block store is lost: it waits for another member on the same volume")
def test_a_lost_member_of_a_block_store_is_followed_by_another() -> None:
    async def lose(fabric: Scripted, lease: JobLease) -> None:
        await until(lease, LeaseState.BOUND)
        fabric.becomes()
        assert await until(lease, LeaseState.WAITING) == FOLLOWED
        fabric.becomes(TWO)
        await until(lease, LeaseState.BOUND)
        assert lease.member == TWO
        fabric.becomes(ended="Deleted")
        assert await until(lease, LeaseState.ENDED) == "Deleted"

    assert followed(lose, "Block") == ["acquire"]


@pytest.mark.unhappy("a job's Memory store is lost: what was in it is gone")
def test_a_lost_member_of_a_memory_store_is_its_end() -> None:
    async def lose(fabric: Scripted, lease: JobLease) -> None:
        await until(lease, LeaseState.BOUND)
        fabric.becomes()
        assert await until(lease, LeaseState.ENDED) == FORGOTTEN

    assert followed(lose, "Memory") == ["acquire", "release"]


@pytest.mark.unhappy("the API server is away while a job's leases are made")
def test_a_lease_that_could_not_be_made_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "AGAIN_SECONDS", 0.001)

    async def run() -> list[str]:
        fabric = Scripted(refuses=[ServerUnavailableError("no answer"), ServerUnavailableError("no answer")])
        lease = JobLease(fabric, lambda: None, lambda name: "")
        lease.acquire(request())
        async with asyncio.timeout(30):
            await until(lease, LeaseState.BOUND)
        await lease.close()
        return fabric.asked

    assert asyncio.run(run()) == ["acquire"] * 3


@pytest.mark.unhappy("the API server is away while a job's lease is given back")
def test_a_lease_that_could_not_be_given_back_is_followed_until_it_can() -> None:
    async def release(fabric: Scripted, lease: JobLease) -> None:
        await until(lease, LeaseState.BOUND)
        fabric.refuses = [ServerUnavailableError("no answer")]
        with pytest.raises(ServerUnavailableError):
            await lease.release("Suspended")
        await until(lease, LeaseState.BOUND)
        await lease.release("Suspended")
        await until(lease, LeaseState.ENDED)

    assert followed(release)[:3] == ["acquire", "withdraw", "withdraw"]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        pytest.param(UnsupportedError("too much"), LeaseState.REFUSED, id="one that nobody can have is refused"),
        pytest.param(LeaseEndedError("revoked"), LeaseState.ENDED, id="one that was taken away has ended"),
    ],
)
def test_what_the_fabric_says_no_to(error: LeaseGridError, state: LeaseState) -> None:
    async def run() -> str:
        lease = JobLease(Scripted(refuses=[error]), lambda: None, lambda name: "")
        lease.acquire(request())
        async with asyncio.timeout(30):
            words = await until(lease, state)
        await lease.close()
        return words

    assert error.cause in asyncio.run(run())


@pytest.mark.unhappy("a store takes longer to be made than a coordinator's lease lasts")
def test_a_lease_that_nobody_uses_yet_is_renewed() -> None:
    async def wait(fabric: Scripted, lease: JobLease) -> None:
        await until(lease, LeaseState.BOUND)
        fabric.becomes(ONE, left=10)
        while "renew" not in fabric.asked:  # noqa: ASYNC110 - see `until`
            await asyncio.sleep(0.001)
        lease.need(ONE)
        fabric.becomes(ONE, left=10)
        fabric.becomes(ONE, TWO, left=10)
        while lease.view is None or len(lease.view.members) < 2:  # noqa: ASYNC110 - see `until`
            await asyncio.sleep(0.001)

    assert followed(wait) == ["acquire", "renew"]
