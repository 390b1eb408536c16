"""A real member's claim: who may bind, open, renew, release and retire it."""

import asyncio
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import MemberGrant
from tests.support.members import LEASE, leased, member


@pytest.mark.smoke
def test_a_member_is_bound_released_and_bound_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            for epoch in (1, 2):
                state = await rig.claimed(client)
                assert (state.epoch, state.lease_uid) == (epoch, LEASE)
                capability = rig.signed(rig.capability(state))
                reply = await client.release(capability)
                assert not reply.stale
                again = await client.release(capability)
                assert again.stale
                assert again.counters == reply.counters
                await rig.ready(client)

    asyncio.run(story())


def test_the_same_bind_again_gets_the_first_answer_and_any_other_a_conflict_without_names(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            state = await rig.ready(client)
            bind = rig.bind(state)
            assert await client.bind(rig.signed(bind)) == await client.bind(rig.signed(bind))
            for stranger in (rig.bind(state, lease_uid="other"), rig.bind(state, lease_uid="other", epoch=2)):
                with pytest.raises(RefusedError) as refused:
                    await client.bind(rig.signed(stranger))
                assert refused.value.reason == "Conflict"
                assert LEASE not in str(refused.value)
                assert public_text(rig.holder) not in str(refused.value)

    asyncio.run(story())


@pytest.mark.unhappy("a bind that nobody confirms is undone after five seconds")
def test_a_bind_that_nobody_confirms_is_undone_and_its_replay_is_fenced(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            bind = rig.signed(rig.bind(await rig.ready(client)))
            await client.bind(bind)
            started = time.monotonic()
            await rig.ready(client)
            assert 4 < time.monotonic() - started < 15
            with pytest.raises(RefusedError) as refused:
                await client.bind(bind)
            assert refused.value.reason == "Fenced"

    asyncio.run(story())


@pytest.mark.smoke
@pytest.mark.unhappy("forged, stolen, misaddressed and expired capabilities are refused")
def test_no_capability_but_the_holders_own_opens_a_connection(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            state = await rig.claimed(client)
            good, stranger = rig.capability(state), Ed25519PrivateKey.generate()
            grant = good.members[0]
            cases = {
                "BadSignature": sign(good, stranger),
                "Unauthenticated": rig.signed(
                    rig.capability(state, members=(MemberGrant("m9", grant.incarnation, grant.epoch),))
                ),
                "Fenced": rig.signed(rig.capability(state, members=(MemberGrant("m0", grant.incarnation, 0),))),
            }
            for reason, capability in cases.items():
                with pytest.raises(RefusedError) as refused:
                    await rig.work(state, capability)
                assert refused.value.reason == reason
            other_process = rig.capability(state, members=(MemberGrant("m0", "0" * 32, 1),))
            expired = rig.capability(state, expires_at=rig.issued_at)
            for statement, reason in ((other_process, "Fenced"), (expired, "Unauthenticated")):
                with pytest.raises(RefusedError) as refused:
                    await rig.work(state, rig.signed(statement))
                assert refused.value.reason == reason
            rig.holder, owner = stranger, rig.holder
            with pytest.raises(RefusedError) as refused:
                await rig.work(state, rig.signed(good))
            assert refused.value.reason == "BadSignature"
            rig.holder = owner
            await (await rig.work(state, rig.signed(good))).close()
            # Its time to be presented is over, but it still cleans up.
            await client.release(rig.signed(expired))

    asyncio.run(story())


def test_only_a_later_deadline_extends(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            state = await rig.claimed(client, 60)
            sooner = await client.renew(rig.signed(rig.capability(state, 30)))
            later = await client.renew(rig.signed(rig.capability(state, 120)))
            assert 55 < sooner.seconds_left <= 60
            assert 115 < later.seconds_left <= 120

    asyncio.run(story())


@pytest.mark.smoke
def test_a_leased_member_cannot_be_retired_and_an_idle_one_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            state = await rig.claimed(client)
            with pytest.raises(RefusedError) as refused:
                await client.retire(rig.retire(state))
            assert refused.value.reason == "Conflict"
            await client.release(rig.signed(rig.capability(state)))
            state = await rig.ready(client)
            with pytest.raises(RefusedError):
                await client.retire(rig.retire(state, epoch=0))
            await client.retire(rig.retire(state))
            assert rig.process is not None
            assert await asyncio.to_thread(rig.process.wait, 10) == 0
            assert not list(tmp_path.iterdir())

    asyncio.run(story())


def test_a_member_of_single_use_ends_after_its_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path, "--reuse", "Replace") as (rig, client, _):
            state = await client.state()
            await client.release(rig.signed(rig.capability(state)))
            assert rig.process is not None
            assert await asyncio.to_thread(rig.process.wait, 10) == 0

    asyncio.run(story())


@pytest.mark.unhappy("the deadline passes with fabric and holder gone")
def test_at_the_deadline_a_member_frees_itself_though_everybody_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            await rig.claimed(client, 2)
            await rig.ready(client, MemberState.READY)

    asyncio.run(story())
