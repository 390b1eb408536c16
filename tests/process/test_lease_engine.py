"""The engine that both fabrics share, beside members that speak the whole protocol: what it makes of their words."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.wire.errors import LeaseEndedError
from tasklet_runner.wire.member import MemberState
from tests.support.lease_engine import EngineRig, engine_rig


def tell(*members: str, story: Callable[[EngineRig], Awaitable[None]]) -> None:
    """Tell a story with an engine and these members."""

    async def told() -> None:
        async with engine_rig(*members) as rig:
            await story(rig)

    asyncio.run(told())


async def released_at_its_door(rig: EngineRig, uid: str, name: str) -> None:
    """Somebody else of the fabric, or the holder, frees a member."""
    member = rig.member(name)
    async with MemberClient(member.endpoint) as client:
        await client.release(rig.engine.parts.signer.release(uid, member.grant))


@pytest.mark.parametrize("elastic", [False, True], ids=["a gang", "an elastic lease"])
def test_a_lease_whose_members_were_given_back_at_their_doors_is_over(elastic: bool) -> None:
    async def story(rig: EngineRig) -> None:
        lease = await rig.bound("a", count=2, min_count=2, elastic=elastic)
        first, second = list(lease.held)
        await released_at_its_door(rig, lease.uid, first)
        rig.hint(first)
        await rig.until(lambda: len(lease.held) == 1, "the lease has lost one")
        # What was given back is not wanted any more: nobody comes in its place.
        assert (lease.wanted, lease.missing, lease.ended) == (1, 0, "")
        await released_at_its_door(rig, lease.uid, second)
        rig.hint(second)
        await rig.until(lambda: rig.books.receipts.get(lease.uid), "the lease has ended")
        receipt = rig.books.receipts[lease.uid]
        assert (receipt.reason, set(receipt.members)) == ("Finished", {first, second})

    tell("m0", "m1", "m2", story=story)


def test_a_word_that_a_member_does_not_confirm_ends_nothing() -> None:
    async def story(rig: EngineRig) -> None:
        lease = await rig.bound("a")
        (name,) = lease.held
        states = rig.stand_ins[name].core.states
        true, states.state, states.reason = states.state, MemberState.READY, "Released"
        rig.hint(name)
        states.state, states.reason = true, ""
        await asyncio.gather(*rig.engine.keeper._asking)
        assert (list(lease.held), lease.ended) == ([name], "")

    tell("m0", story=story)


@pytest.mark.unhappy("a member that is killed after it said that it was given back")
def test_a_member_that_said_good_bye_and_is_gone_was_given_back() -> None:
    async def story(rig: EngineRig) -> None:
        lease = await rig.bound("a", elastic=True)
        (name,) = lease.held
        await released_at_its_door(rig, lease.uid, name)
        member = rig.member(name)
        member.farewell = rig.stand_ins[name].core.states.reason
        rig.engine.keeper.lost(member)
        await rig.until(lambda: rig.books.receipts.get(lease.uid), "the lease has ended")
        assert rig.books.receipts[lease.uid].reason == "Finished"

    tell("m0", "m1", story=story)


@pytest.mark.unhappy("a member dies without a word: an elastic lease gets another, a gang says what it has left")
def test_a_member_that_is_gone_without_a_word_is_replaced_where_it_can_be() -> None:
    async def story(rig: EngineRig) -> None:
        elastic = await rig.bound("elastic", elastic=True)
        gang = await rig.bound("gang")
        for lease in (elastic, gang):
            rig.engine.keeper.lost(rig.member(next(iter(lease.held))))
        await rig.until(lambda: elastic.held, "the elastic one has another")
        assert (gang.held, gang.ended) == ({}, "")

    tell("m0", "m1", "m2", story=story)


@pytest.mark.unhappy("a lease that ends while somebody waits for its first members")
def test_whoever_waits_for_a_lease_hears_of_its_end() -> None:
    async def story(rig: EngineRig) -> None:
        parent = await rig.bound("parent")
        child = rig.lease("child", parent="parent")
        await rig.engine.release(parent.uid)
        with pytest.raises(LeaseEndedError, match="ended before it was bound: ParentReleased"):
            await asyncio.shield(child.settled)
        await rig.until(lambda: rig.books.receipts.get(child.uid), "it has a receipt")
        assert rig.books.receipts[child.uid].members == ()

    tell("m0", story=story)


@pytest.mark.unhappy("a member that does not answer its bind: the next one is taken, and it is asked again")
def test_a_member_that_does_not_answer_is_passed_over() -> None:
    async def story(rig: EngineRig) -> None:
        silent = rig.member("m0")
        rig.stand_ins["m0"].send(signal.SIGKILL)
        await rig.stand_ins["m0"].finished()
        lease = await rig.bound("a", count=2, min_count=2)
        assert set(lease.held) == {"m1", "m2"}
        assert (silent.state, silent.lease, silent.free) == (MemberState.WARMING, "", False)

    tell("m0", "m1", "m2", story=story)


@pytest.mark.unhappy("the reply of a bind is lost: the member is the lease's all the same")
def test_a_member_whose_bind_was_counted_as_failed_is_taken_back() -> None:
    async def story(rig: EngineRig) -> None:
        lease = rig.lease("a")
        await rig.add("m0")
        await rig.until(lambda: lease.settled.done(), "it is bound")
        member = rig.member("m0")
        # As if the answer had been lost: the member is bound, and the lease does not know.
        other = rig.engine.record("uid-b", lease.request, ("cpu",), provisioned=False)
        rig.engine.parts.table.add(other)
        del lease.held["m0"]
        member.lease = ""
        await rig.engine.parts.binder.ask(member)
        await rig.engine.regain(other, member)
        assert other.settled.done()
        assert list(other.held) == ["m0"]
        assert other.queue_position == 0

    tell(story=story)


def test_a_lease_expires_at_its_members_and_then_here() -> None:
    async def story(rig: EngineRig) -> None:
        leases = [await rig.bound(f"l{number}", ttl_seconds=1) for number in range(3)]
        for lease in leases:
            await rig.until(lambda uid=lease.uid: rig.books.receipts.get(uid), "it has expired")  # type: ignore[misc]  # the loop's
            assert rig.books.receipts[lease.uid].reason == "Expired"
        for name in ("m0", "m1", "m2"):
            await rig.until_state(name, MemberState.READY)

    tell("m0", "m1", "m2", story=story)


def test_a_renewal_that_only_its_member_knows_of_keeps_the_lease() -> None:
    async def story(rig: EngineRig) -> None:
        lease = await rig.bound("a", ttl_seconds=2, max_lifetime_seconds=600)
        parts = rig.engine.parts
        (held,) = lease.held.values()
        true, lease.deadline = lease.deadline, lease.deadline + 60
        # As a follower does it: the capability says more than this engine knows.
        capability = rig.engine.view(lease).capabilities[0]
        await held.member.reach().renew(capability)
        lease.deadline = true
        await rig.until(lambda: lease.deadline > true + 30, "the engine has heard of it")
        assert (lease.ended, parts.table.get(lease.uid)) == ("", lease)

    tell("m0", story=story)
