"""What keeping leases writes of their objects, and what it never does twice; nobody is bound here."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.leasing.binding import Binder
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Roster
from leasegrid.leasing.signing import Signer, SteadyClock
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import ServerUnavailableError
from leasegrid_operator.leases import afterwards
from leasegrid_operator.leases.asking import KnownPools
from leasegrid_operator.leases.keeping import LeaseKeeping, Office
from leasegrid_operator.leases.reading import read_lease
from leasegrid_operator.metrics import OperatorMetrics
from leasegrid_operator.resources import ObjectKey, Resource
from tasklet_runner.fabric.protocol import Receipt
from tests.support.lease_engine import SHAPE, Books

LONG_AGO = "2026-01-01T00:00:00Z"
SPEC = InstancePoolSpec(target_size=1)


class Api(Cluster):
    """Keeps what is written; `before_answer` is called while a status is on its way; `refusals`: deletes that fail."""

    def __init__(self) -> None:
        self.statuses: list[tuple[str, dict[str, Any]]] = []
        self.deleted: list[str] = []
        self.refusals = 0
        self.before_answer: Callable[[dict[str, Any]], None] = lambda status: None

    async def patch_status(
        self, resource: Resource, key: ObjectKey, status: dict[str, Any], *, version: str = ""
    ) -> dict[str, Any]:
        self.statuses.append((key.name, status))
        self.before_answer(status)
        return {}

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        propagation: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ServerUnavailableError("away")
        self.deleted.append(key.name)

    def said(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of each `Released` that was written."""
        return [
            (one["reason"], one["message"])
            for written, status in self.statuses
            for one in status["conditions"]
            if written == name and (one["type"], one["status"]) == ("Released", "True")
        ]


class Land:
    """An estate with one pool, which has no members."""

    def known_pools(self) -> KnownPools:
        return KnownPools({"cpu": SPEC}, "cpu")

    def provision(self, key: ObjectKey, uid: str, spec: LeaseSpec) -> str:
        raise AssertionError("nothing is provisioned here")

    def belongs(self, record: LeaseRecord) -> None:
        """Nobody has members here."""

    def ended(self, record: LeaseRecord, receipt: Receipt, message: str, *, removed: bool) -> None:
        """Nothing is left."""


class Rig:
    """Keeping and engine; `see` is the watch."""

    def __init__(self) -> None:
        self.api = Api()
        self.keeping = LeaseKeeping(Office(self.api, OperatorMetrics(), time.time), Land())
        clock, books = SteadyClock(), Books()
        signer, roster = Signer(Ed25519PrivateKey.generate(), clock), Roster(0.0)
        pools = {"cpu": Pool("cpu", SPEC, SHAPE)}
        binder = Binder(roster, signer)
        parts = Parts(pools, roster, binder, signer, clock, self.keeping, books, lambda: None)
        self.engine = LeaseEngine(parts, books)
        self.keeping.attach(self.engine)
        self.keeping.active = True

    def see(self, name: str, status: dict[str, Any] | None = None, **spec: object) -> None:
        metadata = {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self.keeping.seen(read_lease({**body, "status": status or {}}))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.keeping.tick()
                await asyncio.sleep(0.01)


def tell(story: Callable[[Rig], Awaitable[None]]) -> None:
    """Tell a story inside an event loop."""

    async def told() -> None:
        rig = Rig()
        try:
            await story(rig)
        finally:
            await rig.engine.close()
            await rig.keeping.close()

    asyncio.run(told())


@pytest.mark.unhappy("a Lease that the models refuse: the message names the field, and stays to be read")
def test_a_lease_that_cannot_be_read_says_which_field_and_stays() -> None:
    async def story(rig: Rig) -> None:
        rig.see("bad", count=2, minCount=3, onEmpty="Fall")
        await rig.until(lambda: rig.api.said("bad"))
        ((reason, message),) = rig.api.said("bad")
        assert reason == "InvalidSpec"
        assert "spec.minCount" in message
        assert "spec.onEmpty" in message
        assert "Fail" in message
        rig.keeping.tick()
        await asyncio.sleep(0)
        assert rig.api.deleted == []

    tell(story)


def test_the_same_facts_again_write_nothing() -> None:
    async def story(rig: Rig) -> None:
        for _ in range(3):
            rig.see("empty", onEmpty="Fail")
        await rig.until(lambda: rig.api.said("empty"))
        released = rig.api.statuses[-1][1]
        for _ in range(3):
            rig.see("empty", released, onEmpty="Fail")
        rig.see("later", onEmpty="Fail")
        await rig.until(lambda: rig.api.said("later"))
        assert [name for name, _ in rig.api.statuses] == ["empty", "later"]
        assert rig.api.said("empty")[0][0] == "PoolEmpty"

    tell(story)


@pytest.mark.unhappy("the watch is quicker than the answer of the write that it shows")
def test_an_object_goes_though_its_end_was_seen_before_its_write_was_answered() -> None:
    async def story(rig: Rig) -> None:
        rig.api.before_answer = lambda status: rig.see("a", status, onEmpty="Fail", ttlSecondsAfterReleased=0)
        rig.see("a", onEmpty="Fail", ttlSecondsAfterReleased=0)
        await rig.until(lambda: rig.api.deleted)
        assert rig.api.deleted == ["a"]

    tell(story)


@pytest.mark.unhappy("the API server is away when an object should go")
def test_an_object_that_could_not_be_deleted_is_deleted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afterwards, "DELETE_AGAIN_SECONDS", 0.0)

    async def story(rig: Rig) -> None:
        rig.api.refusals = 2
        rig.see("a", onEmpty="Fail", ttlSecondsAfterReleased=0)
        await rig.until(lambda: rig.api.deleted)
        assert (rig.api.deleted, rig.api.refusals) == (["a"], 0)

    tell(story)


def test_an_object_stays_for_longer_when_somebody_says_so_in_time() -> None:
    async def story(rig: Rig) -> None:
        rig.see("a", onEmpty="Fail", ttlSecondsAfterReleased=1)
        rig.see("b", onEmpty="Fail", ttlSecondsAfterReleased=2)
        await rig.until(lambda: rig.api.said("a") and rig.api.said("b"))
        rig.see("a", rig.api.statuses[0][1], onEmpty="Fail", ttlSecondsAfterReleased=600)
        await rig.until(lambda: rig.api.deleted)
        assert rig.api.deleted == ["b"]

    tell(story)


def test_what_was_unverified_is_written_once_it_is_seen() -> None:
    def released(names: Sequence[str]) -> dict[str, Any]:
        said = {"message": "gone; nobody has seen the end of", "lastTransitionTime": LONG_AGO}
        bound = {"type": "Bound", "status": "False", "reason": "Expired", **said}
        end = {"type": "Released", "status": "True", "reason": "Unverified", **said}
        return {"conditions": [bound, end], "receipt": {"unverified": list(names)}}

    async def story(rig: Rig) -> None:
        rig.see("a", released(["m0", "m1"]), ttlSecondsAfterReleased=315360000)
        there = {"m0", "m1"}
        for gone in ("m0", "m1"):
            rig.keeping.verify(lambda uid, name: name in there)
            await asyncio.sleep(0)
            there.discard(gone)
            rig.keeping.verify(lambda uid, name: name in there)
            rig.keeping.verify(lambda uid, name: name in there)
            await rig.until(lambda gone=gone: gone not in rig.keeping.files["uid-a"].unverified)  # type: ignore[misc]  # the loop's
            await rig.until(lambda: not rig.keeping._writer._in_flight)
        assert [status["receipt"]["unverified"] for _, status in rig.api.statuses] == [["m1"], []]
        assert rig.api.said("a")[-1] == ("Expired", "gone")

    tell(story)
