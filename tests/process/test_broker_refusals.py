"""The broker over real HTTP: whatever is asked, the answer is typed; whoever comes, the rest goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.broker.limits import Limits
from tasklet_runner.wire.broker import Refusal
from tasklet_runner.wire.errors import (
    CapacityExceededError,
    LeaseEndedError,
    LeaseGridError,
    NotLeaderError,
    PoolEmptyError,
    UnreachableError,
    UnsupportedError,
)
from tasklet_runner.wire.signed import public_text
from tests.support.broker import TOKEN, FabricDesk, StubFabric, TableGate, served, url_of

KEY = Ed25519PrivateKey.generate()
LEASES = "/v1/namespaces/default/leases"
WITH_TOKEN = {"X-Leasegrid-Token": TOKEN}
GOOD = msgspec.json.encode({"requestId": "a", "holderKey": public_text(KEY)})

Answer = tuple[int, Mapping[str, str], bytes]
Ask = Callable[..., Awaitable[Answer]]


class Rig:
    """A broker on a stub, and a way to ask it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.fabric = StubFabric(KEY)
        self.desk = FabricDesk({"default": self.fabric}, KEY)
        self.gate = TableGate()
        self.limits = limits

    def tell(self, story: Callable[[Ask], Awaitable[None]]) -> None:
        async def told() -> None:
            async with served(self.desk, self.gate, self.limits) as server, aiohttp.ClientSession() as session:

                async def ask(
                    method: str, path: str, body: bytes = b"", head: Mapping[str, str] = WITH_TOKEN
                ) -> Answer:
                    async with session.request(method, url_of(server) + path, data=body or None, headers=head) as got:
                        return got.status, dict(got.headers), await got.read()

                await story(ask)

        asyncio.run(told())


def refusal(answer: Answer) -> Refusal:
    return msgspec.json.decode(answer[2], type=Refusal)


@pytest.mark.parametrize(
    ("asked", "status", "code", "words"),
    [
        pytest.param(("GET", "/v2/x", b""), 404, "NotFound", "/v1/challenge", id="an unknown path"),
        pytest.param(("PUT", LEASES, GOOD), 405, "MethodNotAllowed", "POST", id="a wrong method"),
        pytest.param(("POST", LEASES, b"{"), 400, "BadRequest", "no JSON", id="bad JSON"),
        pytest.param(
            ("POST", LEASES, b'{"requestId":"a","holderKey":1}'), 400, "BadRequest", "$.holderKey", id="a field"
        ),
        pytest.param(("POST", LEASES, b" " * 70_000), 413, "TooLarge", "65536", id="a body that is too large"),
        pytest.param(("POST", "/v1/namespaces/No/leases", GOOD), 400, "BadRequest", "namespace", id="no namespace"),
        pytest.param(("GET", f"{LEASES}/u1?version=x", b""), 400, "BadRequest", "version", id="a version that is none"),
        pytest.param(("POST", "/v1/hints", b"{}"), 400, "BadRequest", "member", id="a hint that is none"),
    ],
)
@pytest.mark.unhappy("unknown paths, wrong methods, bad bodies: typed answers that say what and what to do")
def test_a_request_is_refused_in_words_for(asked: tuple[str, str, bytes], status: int, code: str, words: str) -> None:
    async def story(ask: Ask) -> None:
        answer = await ask(*asked)
        said = refusal(answer)
        assert (answer[0], said.code) == (status, code)
        assert words in said.cause + said.remedy
        assert said.remedy

    Rig().tell(story)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(PoolEmptyError("none", remedy="wait"), 409, id="an empty pool"),
        pytest.param(CapacityExceededError("none", remedy="wait"), 409, id="no capacity"),
        pytest.param(UnsupportedError("never", remedy="ask for less"), 422, id="what no pool can satisfy"),
        pytest.param(LeaseEndedError("over", remedy="acquire"), 410, id="a lease that has ended"),
        pytest.param(UnreachableError("away", remedy="wait"), 503, id="an API server that is away"),
        pytest.param(NotLeaderError("http://other"), 503, id="leadership that went in between"),
    ],
)
def test_an_error_of_the_fabric_arrives_as_it_is(error: LeaseGridError, status: int) -> None:
    rig = Rig()
    rig.fabric.error = error

    async def story(ask: Ask) -> None:
        answer = await ask("POST", LEASES, GOOD)
        said = refusal(answer)
        assert (answer[0], said.code, said.cause) == (status, error.code, error.cause)

    rig.tell(story)


@pytest.mark.unhappy("a fault of the broker's own: one request fails with a number for the log, the rest goes on")
def test_a_fault_of_its_own_ends_one_request_only(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()

    async def story(ask: Ask) -> None:
        rig.desk.fabrics.clear()
        answer = await ask("POST", LEASES, GOOD)
        assert (answer[0], refusal(answer).code) == (500, "Internal")
        assert "KeyError" not in answer[2].decode()
        assert (await ask("GET", "/healthz"))[0] == 200

    rig.tell(story)
    assert "a request failed" in caplog.text


@pytest.mark.unhappy("a token of nobody, a tenant without the verb, an API server that is away: 401, 403, 503")
def test_the_gate_decides_and_says_why() -> None:
    rig = Rig()

    async def story(ask: Ask) -> None:
        assert (await ask("POST", LEASES, GOOD, {}))[0] == 401
        assert (await ask("POST", LEASES, GOOD, {"X-Leasegrid-Token": "forged"}))[0] == 401
        rig.gate.denied.add(("delete", "default"))
        answer = await ask("DELETE", f"{LEASES}/u1")
        assert answer[0] == 403
        for word in ("delete", "leases.leasegrid.dev", "namespace default", "leasegrid-lease-user"):
            assert word in refusal(answer).cause + refusal(answer).remedy
        rig.gate.away = True
        answer = await ask("POST", f"{LEASES}/u1/renew")
        assert (answer[0], refusal(answer).code) == (503, "Disconnected")
        assert rig.fabric.calls == []

    rig.tell(story)


def test_each_operation_reaches_its_fabric_with_the_verb_that_it_needs() -> None:
    rig = Rig()

    async def story(ask: Ask) -> None:
        assert (await ask("POST", LEASES, GOOD))[0] == 200
        assert (await ask("GET", f"{LEASES}/u1?version=3"))[0] == 200
        assert (await ask("POST", f"{LEASES}/u1/renew"))[0] == 200
        assert (await ask("POST", f"{LEASES}/u1/resize", b'{"count":2,"giveBack":["m"]}'))[0] == 200
        assert (await ask("POST", f"{LEASES}/u1/lost", b'{"member":"m","reason":"silent"}'))[0] == 200
        assert (await ask("DELETE", f"{LEASES}/u1?reason=Done%20now"))[0] == 200
        hint = b'{"member":"m","incarnation":"i","epoch":1,"state":"ready"}'
        assert (await ask("POST", "/v1/hints", hint, {}))[0] == 200

    rig.tell(story)
    assert rig.gate.asked == ["token", "create", "get", "update", "delete"]
    assert [call[0] for call in rig.fabric.calls] == ["acquire", "watch", "renew", "resize", "lost", "release"]
    assert rig.fabric.calls[-1] == ("release", "u1", "Done now")
    assert rig.fabric.request is not None
    assert rig.fabric.request.holder_identity == "system:serviceaccount:default:holder"
    assert [hint.member for hint in rig.desk.hints] == ["m"]


@pytest.mark.unhappy("a replica that does not lead names the one that does")
def test_a_follower_sends_claims_hints_and_tokens_to_the_leader() -> None:
    rig = Rig()
    rig.desk.is_leader, rig.desk.leader_address = False, "http://10.1.1.1:8443"

    async def story(ask: Ask) -> None:
        for method, path, body in (
            ("POST", LEASES, GOOD),
            ("GET", f"{LEASES}/u1", b""),
            ("POST", f"{LEASES}/u1/renew", b""),
            ("POST", "/v1/hints", b"{}"),
        ):
            answer = await ask(method, path, body)
            assert (answer[0], refusal(answer).code) == (503, "NotLeader")
            assert refusal(answer).leader == "http://10.1.1.1:8443"
        assert (await ask("GET", "/v1/challenge"))[0] == 200

    rig.tell(story)


def test_the_description_that_is_served_is_the_one_that_is_checked_in() -> None:
    async def story(ask: Ask) -> None:
        answer = await ask("GET", "/v1/openapi.json", b"", {})
        assert answer[2] == (Path(__file__).parents[2] / "docs/openapi.json").read_bytes()

    Rig().tell(story)
