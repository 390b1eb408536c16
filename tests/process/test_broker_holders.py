"""The holder's own door: a lease's capability and a proof, without a token and without the API server."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from tasklet_runner.wire.broker import NonceReply, Refusal, proof_for
from tasklet_runner.wire.leases import LeaseView, Receipt
from tasklet_runner.wire.signed import public_text, sign, verify
from tasklet_runner.wire.statements import Capability, MemberGrant, RequestProof
from tests.support.broker import FabricDesk, StubFabric, TableGate, served, url_of

KEY = Ed25519PrivateKey.generate()
HOLDER = Ed25519PrivateKey.generate()
LEASE = "/v1/namespaces/default/leases/u1"
RENEW = ("POST", f"{LEASE}/renew", b"")

Request = tuple[str, str, bytes]
Answer = tuple[int, Mapping[str, str], bytes]


def capability(**changes: object) -> Capability:
    now = time.time()
    whole = Capability(
        lease_uid="u1", holder_key=public_text(HOLDER), members=(MemberGrant("m", "i", 1),), issued_at=now,
        deadline=now + 30, expires_at=now + 300, ttl_seconds=60, last_deadline=now + 600,
    )  # fmt: skip
    return replace(whole, **changes)


class Holder:
    """Speaks to a broker as a holder does, and as one should not."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def nonce(self) -> str:
        async with self._session.get(f"{self._url}/v1/challenge") as answer:
            return msgspec.json.decode(await answer.read(), type=NonceReply).nonce

    async def send(self, request: Request, shown: str, proof: RequestProof, key: Ed25519PrivateKey = HOLDER) -> Answer:
        head = {"X-Leasegrid-Capability": shown, "X-Leasegrid-Proof": sign(proof, key)}
        method, path, body = request
        async with self._session.request(method, self._url + path, data=body or None, headers=head) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    async def ask(self, request: Request, shown: str) -> Answer:
        return await self.send(request, shown, proof_for(request, shown, await self.nonce()))


class Rig:
    def __init__(self) -> None:
        self.fabric = StubFabric(KEY)
        self.desk = FabricDesk({"default": self.fabric}, KEY)
        self.gate = TableGate(away=True)

    def tell(self, story: Callable[[Holder], Awaitable[None]]) -> None:
        async def told() -> None:
            async with served(self.desk, self.gate) as server, aiohttp.ClientSession() as session:
                await story(Holder(url_of(server), session))

        asyncio.run(told())
        assert self.gate.asked == []


def code(answer: Answer) -> tuple[int, str]:
    return answer[0], msgspec.json.decode(answer[2], type=Refusal).code


@pytest.mark.unhappy("the API server is away: holders renew, resize, report and release all the same")
def test_a_holder_needs_no_api_server() -> None:
    rig = Rig()

    async def story(holder: Holder) -> None:
        shown = sign(capability(), KEY)
        for request in (
            RENEW,
            ("POST", f"{LEASE}/resize", b'{"count":1}'),
            ("POST", f"{LEASE}/lost", b'{"member":"m"}'),
            ("GET", f"{LEASE}?version=1", b""),
            ("DELETE", f"{LEASE}?reason=Done", b""),
        ):
            assert (await holder.ask(request, shown))[0] == 200

    rig.tell(story)
    assert [call[0] for call in rig.fabric.calls] == ["renew", "resize", "lost", "watch", "release"]


@pytest.mark.unhappy("a replayed proof is refused, and the refusal brings a fresh nonce")
def test_a_proof_serves_once() -> None:
    rig = Rig()

    async def story(holder: Holder) -> None:
        shown = sign(capability(), KEY)
        proof = proof_for(RENEW, shown, await holder.nonce())
        first = await holder.send(RENEW, shown, proof)
        assert first[0] == 200
        again = await holder.send(RENEW, shown, proof)
        assert code(again) == (401, "StaleNonce")
        for answer in (first, again):
            fresh = proof_for(RENEW, shown, answer[1]["X-Leasegrid-Nonce"])
            assert (await holder.send(RENEW, shown, fresh))[0] == 200

    rig.tell(story)
    assert len(rig.fabric.calls) == 3


@pytest.mark.unhappy("a stolen capability, another request's proof, another lease's capability: refused")
def test_what_is_not_the_holders_own_request_is_refused() -> None:
    rig = Rig()

    async def story(holder: Holder) -> None:
        shown, stranger = sign(capability(), KEY), Ed25519PrivateKey.generate()
        nonce = await holder.nonce()
        proof = proof_for(RENEW, shown, nonce)
        assert code(await holder.send(RENEW, shown, proof, stranger)) == (401, "BadSignature")
        forged = sign(capability(), stranger)
        assert code(await holder.ask(RENEW, forged)) == (401, "BadSignature")
        release = ("DELETE", LEASE, b"")
        assert code(await holder.send(release, shown, proof)) == (401, "Unauthenticated")
        other = ("POST", f"{LEASE}/resize", b'{"count":0}')
        changed = proof_for((*other[:2], b'{"count":9}'), shown, nonce)
        assert code(await holder.send(other, shown, changed)) == (401, "Unauthenticated")
        another = sign(capability(lease_uid="u2"), KEY)
        assert code(await holder.ask(RENEW, another)) == (403, "Forbidden")
        # What was refused for another reason has not spent its nonce.
        assert (await holder.send(RENEW, shown, proof))[0] == 200

    rig.tell(story)
    assert rig.fabric.calls == [("renew", "u1")]


def test_an_old_capability_still_releases() -> None:
    rig = Rig()

    async def story(holder: Holder) -> None:
        shown = sign(capability(deadline=1.0, expires_at=1.0), KEY)
        assert (await holder.ask(("DELETE", LEASE, b""), shown))[0] == 200

    rig.tell(story)


@pytest.mark.unhappy("the leader is away: any replica renews by the capability alone")
def test_a_follower_renews_what_is_shown_to_it() -> None:
    rig = Rig()
    rig.desk.is_leader = False

    async def story(holder: Holder) -> None:
        old = capability()
        answer = await holder.ask(RENEW, sign(old, KEY))
        assert answer[0] == 200
        view = msgspec.json.decode(answer[2], type=LeaseView)
        fresh = verify(view.capabilities[0], Capability, KEY.public_key())
        assert (view.version, fresh.members) == (0, old.members)
        assert 55 < view.expires_in <= 60
        assert old.deadline + 25 < fresh.deadline <= old.last_deadline
        assert code(await holder.ask(RENEW, sign(capability(ttl_seconds=0), KEY))) == (503, "NotLeader")
        assert code(await holder.ask(RENEW, sign(capability(deadline=1.0), KEY))) == (410, "LeaseExpired")

    rig.tell(story)
    assert rig.fabric.calls == []


@pytest.mark.unhappy("the leader is away: any replica releases by the capability, but not by a token")
def test_a_follower_releases_the_members_that_are_shown_to_it() -> None:
    rig = Rig()
    rig.desk.is_leader = False

    async def story(holder: Holder) -> None:
        old = capability(deadline=1.0, expires_at=1.0)
        answer = await holder.ask(("DELETE", f"{LEASE}?reason=Done", b""), sign(old, KEY))
        assert answer[0] == 200
        receipt = msgspec.json.decode(answer[2], type=Receipt)
        assert (receipt.reason, receipt.members) == ("Done", tuple(grant.member for grant in old.members))

    rig.tell(story)
    assert [one.lease_uid for one in rig.desk.released] == ["u1"]
    assert rig.fabric.calls == []
