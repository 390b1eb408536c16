"""A store member's core over a real directory: what it does when that directory fails it."""

import asyncio
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.hints import Silence
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.shelf import MAX_SESSIONS, Shelf
from tasklet_runner.member.states import Identity
from tasklet_runner.wire.errors import RefusedError, StoreError
from tasklet_runner.wire.member import MemberState, Role
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Bind
from tests.support.stores import MEBIBYTE

FABRIC = Ed25519PrivateKey.generate()


def made(tmp_path: Path) -> tuple[MemberCore, Shelf]:
    settings = MemberSettings(
        name="m0",
        listen="unix:///none",
        fabric_key=public_text(FABRIC),
        scratch=tmp_path / "scratch",
        role=Role.BLOCK,
        store=tmp_path / "volume",
        quota=MEBIBYTE,
    )
    shelf = Shelf(settings)
    identity = Identity("m0", "inc", slots=0, tasklet_memory=0, replace_after_use=True, role=Role.BLOCK)
    return MemberCore(settings, identity, Silence(), shelf), shelf


def order(epoch: int = 1) -> str:
    now = time.time()
    words = {"lease_uid": "L", "holder_key": "K", "member": "m0", "incarnation": "inc"}
    return sign(Bind(**words, epoch=epoch, issued_at=now, deadline=now + 60), FABRIC)


@pytest.mark.unhappy("a volume that cannot be written at the bind")
def test_a_bind_that_cannot_be_made_durable_is_not_answered_and_ends_the_member(tmp_path: Path) -> None:
    async def story() -> None:
        core, shelf = made(tmp_path)
        await core.warm()
        shelf.store._index._connection.execute("PRAGMA query_only=1")
        with pytest.raises(StoreError, match="readonly"):
            core.bind(order())
        assert core.claim is None
        async with asyncio.timeout(30):
            await core.ended.wait()
        assert (core.states.state, core.states.reason) == (MemberState.TERMINATED, "StoreFailed")
        again, successor = made(tmp_path)
        await again.warm()
        assert (again.states.epoch, successor.kept_lease_uid) == (0, "")
        await again.close()

    asyncio.run(story())


def test_the_same_bind_again_gets_the_same_answer_and_is_written_once(tmp_path: Path) -> None:
    async def story() -> None:
        core, shelf = made(tmp_path)
        await core.warm()
        statement = order()
        assert core.bind(statement) == core.bind(statement)
        assert (shelf.epoch, core.report().kept_lease_uid) == (1, "L")
        await core.close()

    asyncio.run(story())


@pytest.mark.unhappy("a member that is not ready")
def test_before_it_is_open_and_after_it_is_cleared_there_is_no_store(tmp_path: Path) -> None:
    async def story() -> None:
        core, shelf = made(tmp_path)
        with pytest.raises(RefusedError) as caught:
            core.bind(order())
        assert caught.value.reason == "NotReady"
        assert (shelf.epoch, shelf.used_bytes, shelf.kept_lease_uid) == (0, 0, "")
        await core.warm()
        assert await shelf.clear() == await shelf.clear() == 0
        with pytest.raises(RefusedError, match="is not open"):
            shelf.store  # noqa: B018  # reading it is the call

    asyncio.run(story())


def test_the_oldest_session_gives_way_and_all_end_with_the_claim(tmp_path: Path) -> None:
    _, shelf = made(tmp_path)
    tokens = [shelf.open_session() for _ in range(MAX_SESSIONS + 1)]
    assert [shelf.has_session(token) for token in tokens[:2]] == [False, True]
    shelf.stop()
    assert not any(map(shelf.has_session, tokens))
