"""Leases through all doors: kubectl, the command, the broker; how they last and how they end."""

import secrets
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.signed import public_text
from tests.e2e.doors import with_broker
from tests.e2e.figures import Figures
from tests.e2e.kind_rig import Kind
from tests.e2e.rooms import Room, instant, room
from tests.process.example_runs import EXAMPLES, make_modules

SIZE = 3
POOL = {"poolRefs": [{"name": "cpu"}]}
CLAIMS = 5


@pytest.fixture(scope="module")
def warm(cluster: Kind) -> Iterator[Room]:
    """A namespace with a pool that all tests here use, and leave as it was."""
    with room(cluster, f"leases-{secrets.token_hex(3)}") as made:
        made.pool("cpu", SIZE)
        made.until_members("cpu", ready=SIZE)
        yield made


@pytest.fixture(autouse=True)
def _free(warm: Room) -> Iterator[None]:
    yield
    warm.kubectl("delete", "lglease", "--all", "--wait=false")
    warm.until_members("cpu", ready=SIZE)


def test_a_lease_that_is_applied_is_bound_and_one_that_is_deleted_frees_its_members(
    warm: Room, figures: Figures
) -> None:
    took = []
    for number in range(CLAIMS):
        began = time.time()
        warm.lease(f"applied-{number}", **POOL)
        assert len(warm.until_bound(f"applied-{number}")) == 1
        took.append(instant(warm.condition("lglease", f"applied-{number}", "Bound")["lastTransitionTime"]) - began)
        warm.kubectl("delete", "lglease", f"applied-{number}")
        warm.until_members("cpu", ready=SIZE)
    figures.seconds(f"a warm claim from kubectl apply to Bound, kubectl's start included, median of {CLAIMS}",
                    statistics.median(took))  # fmt: skip


def test_the_command_claims_runs_a_foreign_module_and_python_renews_and_releases(warm: Room) -> None:
    make_modules("foreign-modules")
    folder = EXAMPLES / "foreign-modules"
    solver, formula = folder / "modules" / "boolector.wasm", folder / "formulas" / "factors.smt2"

    assert "lease solve: bound 1 member after" in warm.leasegrid("claim", "solve", "--pool", "cpu")
    options = ("--model-gen=1", "--output-number-format=dec", "--exit-codes=0")
    answer = warm.leasegrid("exec", "solve", "--in", str(formula), str(solver), *options, "/in/factors.smt2")
    assert "_ bv7853 32" in answer
    assert "_ bv7879 32" in answer

    script = warm.cluster.directory / "shout.py"
    script.write_text("print(input().upper())", encoding="utf-8")
    assert warm.leasegrid("exec", "solve", str(script), given="ada\n") == "ADA\n"

    assert "renewed, expires in" in warm.leasegrid("renew", "solve")
    assert "lease solve: released 1 member in" in warm.leasegrid("release", "solve")


def test_a_program_holds_a_lease_through_the_broker_with_its_accounts_token(warm: Room) -> None:
    holder = Ed25519PrivateKey.generate()
    request = LeaseRequest(
        request_id="by-broker",
        holder_key=public_text(holder),
        namespace=warm.namespace,
        pools=("cpu",),
        count=2,
        min_count=2,
        ttl_seconds=120,
    )

    async def held(fabric: ClusterFabric) -> tuple[LeaseView, LeaseView, Receipt]:
        view = await fabric.acquire(request)
        return view, await fabric.renew(view.uid), await fabric.release(view.uid)

    acquired, renewed, receipt = with_broker(warm, holder, held)
    assert len(acquired.members) == 2
    assert renewed.expires_in > 60
    assert (len(receipt.members), receipt.unverified) == (2, ())


def test_a_changed_renew_time_moves_the_deadline(warm: Room) -> None:
    warm.lease("long", **POOL, ttlSeconds=300)
    warm.until_bound("long")
    before = warm.status("lglease", "long")["expireTime"]
    warm.change("lglease", "long", {"renewTime": datetime.now(UTC).isoformat().replace("+00:00", "Z")})
    warm.cluster.wait(
        lambda: warm.status("lglease", "long")["expireTime"],
        lambda now: instant(now) > instant(before),
        "the deadline is later",
    )


def test_a_lease_that_nobody_renews_ends_at_its_deadline_and_its_member_is_ready_again(warm: Room) -> None:
    warm.lease("short", **POOL, ttlSeconds=4)
    warm.until_said("lglease", "short", "Released", "Expired")
    receipt = warm.released("short")
    assert (receipt["members"], receipt["unverified"]) == (1, [])
    warm.until_members("cpu", ready=SIZE)


def test_a_lease_that_is_revoked_ends_after_its_grace_with_a_receipt(warm: Room) -> None:
    warm.lease("taken", **POOL, count=2)
    warm.until_bound("taken")
    began = time.time()
    warm.change("lglease", "taken", {"revoke": {"graceSeconds": 3}})
    receipt = warm.released("taken")
    assert (receipt["members"], receipt["unverified"]) == (2, [])
    assert instant(warm.condition("lglease", "taken", "Released")["lastTransitionTime"]) >= began + 3
