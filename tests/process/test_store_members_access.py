"""Who may use a store member: the holder of its claim, as long as the claim stands, and nobody else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.stores import StoreClient, StoreConnections
from tasklet_runner.wire.errors import RefusedError, StoreFencedError, UnreachableError
from tasklet_runner.wire.member import ErrorReply, MemberState
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Capability, Challenge, MemberGrant, PutGrant
from tasklet_runner.wire.store import ChallengeReply, SessionReply, SessionRequest
from tests.support.store_members import HeldStore, held_store, store_member
from tests.support.stores import MEBIBYTE

STRANGER = Ed25519PrivateKey.generate()


@dataclass(frozen=True)
class Wire:
    """Requests by hand."""

    http: aiohttp.ClientSession

    async def challenge(self) -> ChallengeReply:
        async with self.http.get("http://m/v1/challenge") as response:
            return msgspec.json.decode(await response.read(), type=ChallengeReply)

    async def open(self, capability: str, challenge: str) -> SessionReply | ErrorReply:
        body = msgspec.json.encode(SessionRequest(capability, challenge))
        async with self.http.post("http://m/v1/session", data=body) as response:
            said = await response.read()
            if response.status == 200:
                return msgspec.json.decode(said, type=SessionReply)
            return msgspec.json.decode(said, type=ErrorReply)

    async def get(self, path: str, session: str = "") -> int:
        async with self.http.get(f"http://m{path}", headers={"X-Leasegrid-Session": session}) as response:
            return response.status


@asynccontextmanager
async def wire_to(held: HeldStore) -> AsyncIterator[Wire]:
    connector = aiohttp.UnixConnector(path=held.rig.endpoint.removeprefix("unix://"))
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Wire(http)


def answer(asked: ChallengeReply, key: Ed25519PrivateKey, **changes: str) -> str:
    words = {"nonce": asked.nonce, "member": asked.member, "incarnation": asked.incarnation}
    return sign(Challenge(**(words | changes)), key)


def shown(held: HeldStore, **changes: object) -> str:
    return held.capability(60, **changes)


def forged(held: HeldStore) -> str:
    return sign(held.rig.capability(held.state), STRANGER)


def of_epoch(held: HeldStore, epoch: int) -> str:
    return shown(held, members=(MemberGrant(held.state.member, held.state.incarnation, epoch),))


Show = Callable[[HeldStore], str]


@pytest.mark.unhappy("a capability that is stolen, forged, expired, or for something else")
@pytest.mark.parametrize(
    ("capability", "key", "reason"),
    [
        pytest.param(shown, STRANGER, "BadSignature", id="a stolen capability is worthless without the holder's key"),
        pytest.param(forged, None, "BadSignature", id="a capability that the fabric did not sign"),
        pytest.param(
            lambda held: shown(held, expires_at=held.rig.issued_at - 1), None, "Unauthenticated", id="an expired one"
        ),
        pytest.param(
            lambda held: shown(held, members=(MemberGrant("other", "i", 1),)), None, "Unauthenticated", id="another's"
        ),
        pytest.param(
            lambda held: shown(held, members=(MemberGrant(held.state.member, "gone", 1),)),
            None,
            "Fenced",
            id="one of an earlier process",
        ),
        pytest.param(lambda held: of_epoch(held, 0), None, "Fenced", id="one of an older epoch"),
        pytest.param(lambda held: of_epoch(held, 2), None, "Conflict", id="one of an epoch that has not come"),
        pytest.param(lambda held: shown(held, lease_uid="lease-2"), None, "Conflict", id="one of another lease"),
        pytest.param(
            lambda held: shown(held, holder_key=public_text(STRANGER)), STRANGER, "Unauthenticated", id="another holder"
        ),
        pytest.param(lambda _: "nonsense", None, "BadSignature", id="no capability at all"),
    ],
)
def test_no_session_without_the_right_capability_and_key(
    capability: Show, key: Ed25519PrivateKey | None, reason: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, wire_to(held) as wire:
            signed = answer(await wire.challenge(), key or held.rig.holder)
            refused = await wire.open(capability(held), signed)
            assert isinstance(refused, ErrorReply)
            assert refused.code == reason
            assert (await held.store.put("key", b"the holder still can")).size == 20

    asyncio.run(story())


@pytest.mark.unhappy("a challenge that is replayed, invented, or signed for another member")
def test_a_challenge_is_good_once_and_for_this_member_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, wire_to(held) as wire:
            first = answer(await wire.challenge(), held.rig.holder)
            opened = await wire.open(shown(held), first)
            assert isinstance(opened, SessionReply)
            assert 0 < opened.seconds_left <= 60
            asked = await wire.challenge()
            for challenge in (
                first,
                answer(asked, held.rig.holder, nonce="invented"),
                answer(asked, held.rig.holder, nonce=asked.nonce[:-2] + "AA"),
                answer(asked, held.rig.holder, member="other"),
                answer(asked, held.rig.holder, incarnation="other"),
            ):
                refused = await wire.open(shown(held), challenge)
                assert isinstance(refused, ErrorReply)
                assert refused.code == "Unauthenticated"
            assert isinstance(await wire.open(shown(held), answer(asked, held.rig.holder)), SessionReply)

    asyncio.run(story())


@pytest.mark.unhappy("requests without a session")
@pytest.mark.parametrize("path", ["/v1/objects/key", "/v1/objects", "/v1/objects?prefix=k"])
def test_nothing_is_shown_without_a_session(path: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, wire_to(held) as wire:
            await held.store.put("key", b"secret")
            assert [await wire.get(path), await wire.get(path, "guessed")] == [401, 401]

    asyncio.run(story())


@pytest.mark.unhappy("requests that cannot be read")
def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, wire_to(held) as wire:
            async with wire.http.post("http://m/v1/session", data=b"{]") as response:
                assert response.status == 400
            opened = await wire.open(shown(held), answer(await wire.challenge(), held.rig.holder))
            assert isinstance(opened, SessionReply)
            for limit in ("0", "1001", "x", "-1"):
                assert await wire.get(f"/v1/objects?limit={limit}", opened.session) == 400
            assert await wire.get("/v1/objects/" + "x" * 5000, opened.session) == 400
            async with wire.http.delete("http://m/v1/objects/key") as response:
                assert response.status == 405
            headers = {"X-Leasegrid-Session": opened.session, "Expect": "miracles"}
            async with wire.http.put("http://m/v1/objects/key", data=b"x", headers=headers) as response:
                assert response.status == 400

    asyncio.run(story())


@pytest.mark.unhappy("a session that outlives its lease")
def test_a_session_dies_with_the_release(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, wire_to(held) as wire:
            opened = await wire.open(shown(held), answer(await wire.challenge(), held.rig.holder))
            assert isinstance(opened, SessionReply)
            await held.store.put("key", b"secret")
            assert await wire.get("/v1/objects/key", opened.session) == 200
            await held.member.release(held.capability())
            with pytest.raises((RefusedError, UnreachableError)):
                await held.store.get("key")
            with contextlib.suppress(aiohttp.ClientError):  # the process may have ended already
                assert await wire.get("/v1/objects/key", opened.session) == 410

    asyncio.run(story())


@pytest.mark.unhappy("the holder does not renew")
def test_a_session_dies_at_the_deadline_and_lives_on_with_a_renewal(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, seconds=1.5) as held:
            await held.store.put("key", b"value")
            await held.member.renew(held.capability(4))
            await asyncio.sleep(2)
            assert await held.store.get("key") == b"value"
            assert held.rig.process is not None
            assert await asyncio.to_thread(held.rig.process.wait, 20) == 0

    asyncio.run(story())


@pytest.mark.unhappy("a lease that ends in the middle of a put")
def test_a_put_under_way_is_cut_off_when_the_lease_ends(tmp_path: Path) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000
            await asyncio.sleep(0.01)

    async def story() -> None:
        async with held_store(tmp_path, "Block") as held, wire_to(held) as wire:
            opened = await wire.open(shown(held), answer(await wire.challenge(), held.rig.holder))
            assert isinstance(opened, SessionReply)
            headers = {"X-Leasegrid-Session": opened.session}
            putting = asyncio.create_task(wire.http.put("http://m/v1/objects/key", data=slowly(), headers=headers))
            incoming = tmp_path / "volume" / "incoming"
            async with asyncio.timeout(20):
                while not any(incoming.iterdir()):  # noqa: ASYNC110  # another process's directory has no event
                    await asyncio.sleep(0.02)
            await held.member.release(held.capability())
            with contextlib.suppress(aiohttp.ClientError):  # the end of the process may overtake the answer
                async with await putting as response:
                    assert response.status == 410
            assert list(incoming.iterdir()) == []

    asyncio.run(story())


@pytest.mark.unhappy("a lease that ends in the middle of a get")
def test_a_get_under_way_is_cut_off_when_the_lease_ends_and_never_passes_for_whole(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, wire_to(held) as wire:
            await held.store.put("large", b"x" * 32 * MEBIBYTE)
            opened = await wire.open(shown(held), answer(await wire.challenge(), held.rig.holder))
            assert isinstance(opened, SessionReply)
            headers = {"X-Leasegrid-Session": opened.session}
            async with wire.http.get("http://m/v1/objects/large", headers=headers) as response:
                assert response.content_length == 32 * MEBIBYTE
                await held.member.release(held.capability())
                with pytest.raises(aiohttp.ClientError):
                    await response.read()

    asyncio.run(story())


def test_a_member_of_the_holders_job_puts_under_a_grant_signed_with_the_holders_key(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"output")

    async def story() -> None:
        async with held_store(tmp_path) as held:
            grant = PutGrant(
                store="lease-1", term=1, key_prefix="main/0/1", max_bytes=100, expires_at=held.rig.issued_at + 30
            )

            async def attempt(changed: PutGrant, key: Ed25519PrivateKey = held.rig.holder) -> None:
                signed = sign(changed, key)
                async with StoreConnections() as stores:
                    await stores.put_object(held.rig.endpoint, signed, "main/0/1/stdout", tmp_path / "output")

            for changes, reason in (
                ({"store": "lease-2"}, "NotGranted"),
                ({"key_prefix": "main/0/2"}, "NotGranted"),
                ({"expires_at": held.rig.issued_at - 1}, "LeaseExpired"),
                ({"max_bytes": 3}, "TooLarge"),
            ):
                with pytest.raises(RefusedError) as caught:
                    await attempt(msgspec.structs.replace(grant, **changes))
                assert caught.value.reason == reason
            with pytest.raises(RefusedError, match="not signed by"):
                await attempt(grant, STRANGER)
            with pytest.raises(StoreFencedError):
                await attempt(msgspec.structs.replace(grant, term=0))
            await attempt(grant)
            assert await held.store.get("main/0/1/stdout") == b"output"

    asyncio.run(story())


@pytest.mark.unhappy("another member at the leased address")
def test_a_client_does_not_speak_to_a_process_that_was_not_leased(tmp_path: Path) -> None:
    async def story() -> None:
        async with store_member(tmp_path) as (rig, client):
            state = await rig.ready(client, MemberState.READY)
            rig.issued_at = time.time()
            elsewhere: Capability = rig.capability(state, members=(MemberGrant(state.member, "earlier", 1),))
            async with StoreClient(rig.endpoint, rig.signed(elsewhere), rig.holder) as store:
                with pytest.raises(UnreachableError, match="does not list"):
                    await store.put("key", b"value")
            async with StoreClient(f"unix://{tmp_path}/nobody.sock", rig.signed(elsewhere), rig.holder) as store:
                with pytest.raises(UnreachableError, match=r"nobody\.sock"):
                    await store.get("key")

    asyncio.run(story())
