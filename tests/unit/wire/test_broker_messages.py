"""The broker's route table and the proofs of its second door."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.broker import ROUTES, Door, Refusal, Route, proof_for
from tasklet_runner.wire.errors import NotLeaderError, OverloadedError
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.signed import sign, verify
from tasklet_runner.wire.statements import Capability, RequestProof

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: str(route.name))
def test_a_route_of_leases_needs_a_verb_and_no_other_does(route: Route) -> None:
    assert bool(route.verb) is (route.door is not Door.OPEN)
    assert ("{namespace}" in route.path) is (route.door is not Door.OPEN)
    assert (route.body is None) or route.method == "POST"


def test_no_two_routes_are_the_same() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_a_proof_says_the_whole_request() -> None:
    request = ("POST", "/v1/namespaces/a/leases/u/renew?x=1", b"{}")
    proof = proof_for(request, "capability", "nonce")

    assert verify(sign(proof, KEY), RequestProof, KEY.public_key()) == proof
    for other in (
        proof_for(("PUT", *request[1:]), "capability", "nonce"),
        proof_for(("POST", "/v1", b"{}"), "capability", "nonce"),
        proof_for((*request[:2], b""), "capability", "nonce"),
        proof_for(request, "another", "nonce"),
        proof_for(request, "capability", "later"),
    ):
        assert other != proof


def test_a_request_is_written_in_camel_case_and_a_refusal_names_a_leader_only_where_there_is_one() -> None:
    written = msgspec.json.decode(msgspec.json.encode(LeaseRequest(request_id="a", holder_key="k")))
    assert {"requestId", "holderKey", "minCount", "maxLifetimeSeconds"} <= set(written)
    assert msgspec.json.encode(Refusal(code="c", cause="w")) == b'{"code":"c","cause":"w"}'


def test_a_capability_without_terms_is_as_short_as_before() -> None:
    capability = Capability(lease_uid="u", holder_key="k", members=(), issued_at=1.0, deadline=2.0, expires_at=3.0)
    assert set(msgspec.json.decode(msgspec.json.encode(capability))) == {
        "lease", "holder", "members", "iat", "deadline", "exp",
    }  # fmt: skip


def test_who_does_not_lead_names_who_does_or_says_to_wait() -> None:
    assert (NotLeaderError("http://a").leader, NotLeaderError("http://a").remedy) == ("http://a", "ask the leader")
    assert "try again" in NotLeaderError("").remedy


def test_who_is_overloaded_says_when_to_come_again() -> None:
    assert OverloadedError("full", remedy="wait", retry_after=1.5).retry_after == 1.5
