"""The judges of a shaken cluster find what was put there, and nothing else."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import Capability, MemberGrant
from tests.e2e.kind_rig import Object
from tests.e2e.soaking.judging import (
    Asked,
    Bind,
    binds,
    fetched,
    finished,
    left_over,
    lost_its_memory,
    strangers,
    summed,
    two_holders,
)
from tests.soak.tally import Findings

ASKED = Asked("job", ("a\n", "b\n"))
DONE = {"total": 2, "succeeded": 2, "failed": 0}
BOTH = [{"index": 0, "text": "a\n"}, {"index": 1, "text": "b\n"}]


def status(outputs: list[Object], condition: str = "Complete", **counts: int) -> Object:
    said = [{"type": condition, "status": "True"}]
    return {"conditions": said, "outputs": json.dumps(outputs), "chunks": {**DONE, **counts}}


def counts(findings: Findings) -> tuple[int, int, int]:
    return len(findings.losses), len(findings.doubles), len(findings.wrongs)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(status(BOTH), (0, 0, 0), id="each output once"),
        pytest.param(status(BOTH, "Failed"), (1, 0, 0), id="a job that failed is lost"),
        pytest.param({}, (1, 0, 0), id="a job without a status is lost"),
        pytest.param(status(BOTH[:1]), (1, 0, 0), id="an output is missing"),
        pytest.param(status([*BOTH, BOTH[0]]), (0, 1, 0), id="an output is there twice"),
        pytest.param(status([BOTH[0], {"index": 1, "text": "a\n"}]), (0, 0, 1), id="an output is another's"),
        pytest.param(status(BOTH, succeeded=3), (0, 0, 1), id="the counts are wrong"),
    ],
)
def test_a_jobs_end_is_judged_by_its_outputs_and_counts(told: Object, expected: tuple[int, int, int]) -> None:
    assert counts(finished(ASKED, told)) == expected


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        pytest.param({"0": "a\n", "1": "b\n"}, (0, 0, 0), id="each"),
        pytest.param({"0": "a\n"}, (1, 0, 0), id="one is missing"),
        pytest.param({"0": "a\n", "1": "a\n"}, (0, 0, 1), id="one is another's"),
        pytest.param({"0": "a\n", "1": "b\n", "2": "b\n"}, (0, 1, 0), id="one too many"),
    ],
)
def test_outputs_that_were_fetched_are_judged_by_their_chunks(
    outputs: dict[str, str], expected: tuple[int, int, int]
) -> None:
    assert counts(fetched(ASKED, status([]), outputs)) == expected


@pytest.mark.parametrize(
    ("reason", "condition", "expected"),
    [
        pytest.param("StoreUnavailable", "Failed", True, id="its store is lost"),
        pytest.param("ChunksFailed", "Failed", False, id="it failed for another reason"),
        pytest.param("StoreUnavailable", "Progressing", False, id="it waits for its store"),
    ],
)
def test_only_a_job_that_says_that_its_store_is_lost_is_excused(reason: str, condition: str, expected: bool) -> None:
    said = [{"type": condition, "status": "True", "reason": reason}]
    assert lost_its_memory({"conditions": said}) is expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(status(BOTH[::-1]), (0, 0, 0), id="all lines, in whatever order"),
        pytest.param(status(BOTH, "Failed"), (1, 0, 0), id="a graph that failed is lost"),
        pytest.param(status([*BOTH, BOTH[1]]), (0, 0, 1), id="a line came twice"),
    ],
)
def test_a_graphs_end_is_judged_by_its_lines(told: Object, expected: tuple[int, int, int]) -> None:
    assert counts(summed(ASKED, told)) == expected


def test_binds_are_read_from_the_capabilities_of_a_status() -> None:
    grant = MemberGrant("m-1", "process", 7)
    capability = Capability(
        lease_uid="one", holder_key="", members=(grant,), issued_at=0.0, deadline=1.0, expires_at=1.0
    )
    text = sign(capability, Ed25519PrivateKey.generate())
    assert binds({"status": {"capabilities": [text]}}) == {Bind("m-1", "process", 7, "one")}
    assert binds({}) == frozenset()


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param(Bind("m", "i", 2, "two"), 0, id="another epoch"),
        pytest.param(Bind("m", "j", 1, "two"), 0, id="another process of that name"),
        pytest.param(Bind("m", "i", 1, "one"), 0, id="the same lease again"),
        pytest.param(Bind("m", "i", 1, "two"), 1, id="another lease in the same epoch"),
    ],
)
def test_an_epoch_of_two_leases_is_found(second: Bind, expected: int) -> None:
    assert counts(two_holders([Bind("m", "i", 1, "one"), second])) == (0, expected, 0)


def test_what_is_left_behind_is_found() -> None:
    assert counts(left_over({"Pod a/b"}, {"Pod a/b", "Lease a/c"})) == (0, 1, 0)
    assert counts(left_over({"Pod a/b"}, set())) == (0, 0, 0)
    assert counts(strangers(["m-1", "m-2"], {"m-1"})) == (0, 1, 0)
