"""What every fabric promises, as tests: a class that inherits this says only how its fabric is opened."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.fabric.protocol import Fabric, LeaseRequest, LeaseView
from tasklet_runner.wire.errors import LeaseEndedError, PoolEmptyError
from tasklet_runner.wire.member import MemberState, StateReport
from tasklet_runner.wire.signed import public_text

HOLDER = Ed25519PrivateKey.generate()
PATIENCE_SECONDS = 30.0


def request(name: str, **changes: object) -> LeaseRequest:
    """A request of one holder; it queues unless it is told otherwise."""
    fields: dict[str, object] = {"on_empty": "Queue", "holder_key": public_text(HOLDER)} | changes
    return LeaseRequest(request_id=name, **fields)  # type: ignore[arg-type]  # the tests' changes are of the fields' types


async def states(view: LeaseView) -> list[StateReport]:
    """What the members of a lease say of themselves."""

    async def ask(endpoint: str) -> StateReport:
        async with MemberClient(endpoint) as client:
            return await client.state()

    return list(await asyncio.gather(*(ask(member.endpoint) for member in view.members)))


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so; fails after a generous while."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


class FabricContract:
    """The promises. `opened` gives a fabric with `workers` one-slot members, below an empty directory."""

    def opened(self, directory: Path, workers: int) -> AbstractAsyncContextManager[Fabric]:
        """A fabric, closed at the end with nothing left behind."""
        raise NotImplementedError

    def run(self, directory: Path, story: Callable[[Fabric], Awaitable[None]], workers: int = 2) -> None:
        """Tell a story on a fabric of its own."""

        async def told() -> None:
            async with self.opened(directory, workers) as fabric:
                await story(fabric)

        asyncio.run(told())

    @pytest.mark.smoke
    def test_a_lease_opens_its_members_and_the_same_request_again_is_the_same_lease(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            first, second = await asyncio.gather(fabric.acquire(request("a")), fabric.acquire(request("a")))
            assert (first.uid, first.members) == (second.uid, second.members)
            connection = await WorkConnection.open(first.members[0], first.capabilities[0], HOLDER)
            await connection.close()
            assert [state.lease_uid for state in await states(first)] == [first.uid]

        self.run(tmp_path, story)

    @pytest.mark.unhappy("an empty pool and onEmpty Fail: refused at once, in words")
    def test_an_empty_pool_refuses_at_once_and_says_what_to_do(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            await fabric.acquire(request("a"))
            with pytest.raises(PoolEmptyError) as refused:
                await fabric.acquire(request("b", on_empty="Fail"))
            assert refused.value.remedy

        self.run(tmp_path, story, workers=1)

    @pytest.mark.unhappy("a gang that cannot be complete binds nothing")
    def test_a_gang_is_bound_whole_or_not_at_all(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            # A pool that has just begun makes newcomers wait for its first members, whatever they say.
            await fabric.release((await fabric.acquire(request("warm up", count=2, min_count=2))).uid)
            held = await fabric.acquire(request("one"))
            with pytest.raises(PoolEmptyError):
                await fabric.acquire(request("two", count=2, min_count=2, on_empty="Fail"))
            single = await fabric.acquire(request("another"))
            await fabric.release(single.uid)
            await fabric.release(held.uid)
            assert len((await fabric.acquire(request("two", count=2, min_count=2))).members) == 2

        self.run(tmp_path, story)

    def test_a_watch_is_answered_when_an_elastic_lease_grows(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            held = await fabric.acquire(request("one"))
            view = await fabric.acquire(request("grows", count=2, elastic=True))
            watching = asyncio.create_task(fabric.watch(view.uid, view.version))
            await fabric.release(held.uid)
            grown = await watching
            while len(grown.members) < 2:
                grown = await fabric.watch(view.uid, grown.version)
            assert grown.version > view.version

        self.run(tmp_path, story)

    def test_a_renewal_moves_the_deadline_but_never_past_the_longest_life(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            view = await fabric.acquire(request("a", ttl_seconds=20, max_lifetime_seconds=21))
            await asyncio.sleep(1.5)
            renewed = await fabric.renew(view.uid)
            assert renewed.version > view.version
            assert renewed.capabilities != view.capabilities
            assert 18.5 < renewed.expires_in <= 19.6

        self.run(tmp_path, story, workers=1)

    @pytest.mark.unhappy("a renewal after the end is refused")
    def test_what_has_ended_is_not_renewed(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            view = await fabric.acquire(request("a"))
            await fabric.release(view.uid)
            with pytest.raises(LeaseEndedError):
                await fabric.renew(view.uid)
            with pytest.raises(LeaseEndedError):
                await fabric.renew("there-is-no-such-lease")

        self.run(tmp_path, story, workers=1)

    def test_members_that_are_given_back_serve_the_next_lease(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            view = await fabric.acquire(request("a", count=2, min_count=2, elastic=True))
            waiting = asyncio.create_task(fabric.acquire(request("b")))
            smaller = await fabric.resize(view.uid, 1, (view.members[0].name,))
            assert smaller.members == view.members[1:]
            assert (await waiting).members[0].name == view.members[0].name

        self.run(tmp_path, story)

    def test_a_member_that_is_reported_lost_leaves_the_lease_and_another_comes(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            view = await fabric.acquire(request("a", elastic=True))
            left = await fabric.report_lost(view.uid, view.members[0].name, "no heartbeat")
            while not left.members:
                left = await fabric.watch(view.uid, left.version)
            assert (left.members[0].incarnation, left.members[0].epoch) != (
                view.members[0].incarnation,
                view.members[0].epoch,
            )

        self.run(tmp_path, story, workers=1)

    def test_a_second_release_gives_the_same_receipt(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            view = await fabric.acquire(request("a", count=2, min_count=2))
            receipt = await fabric.release(view.uid, "Done with it")
            assert await fabric.release(view.uid) == receipt
            assert (receipt.reason, receipt.unverified) == ("Done with it", ())
            assert set(receipt.members) == {member.name for member in view.members}

        self.run(tmp_path, story)

    @pytest.mark.unhappy("a holder that never comes back: its lease expires and its members are free")
    def test_an_expired_lease_frees_its_members(self, tmp_path: Path) -> None:
        async def story(fabric: Fabric) -> None:
            view = await fabric.acquire(request("a", ttl_seconds=1))
            ended = await fabric.watch(view.uid, view.version)
            while not ended.ended:
                ended = await fabric.watch(view.uid, ended.version)
            assert ended.ended == "Expired"

            async def free() -> bool:
                return all(state.state is MemberState.READY for state in await states(view))

            await eventually(free)
            assert (await fabric.release(view.uid)).reason == "Expired"

        self.run(tmp_path, story, workers=1)
