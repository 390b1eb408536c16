"""The copy of a job's outputs, from pod to pod, when the store moves meanwhile."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from leasegrid.rules.job_sights import CopySight, CopyState
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import NotFoundError
from leasegrid_operator.jobs import copying
from leasegrid_operator.jobs.copier_pods import ORDER_KEY, CopierTemplate
from leasegrid_operator.jobs.copying import ATTEMPTS, MOST_PODS, JobCopy
from leasegrid_operator.resources import CLAIMS, PODS, SECRETS, ObjectKey, Resource
from tasklet_runner.wire.jobs import CopyOrder
from tests.unit.operator.jobs.test_copier_pods import SETTINGS, facts, provision

Body = dict[str, Any]


class Warehouse:
    """A cluster in which each copier ends as soon as it has its order: well where that names the place of the store,
    which moves on by one after each of the first `moves` pods.
    """

    def __init__(self, moves: int, *, served: bool = True, serves: bool = True) -> None:
        self.place = 0
        self.served = served
        self.pods: dict[str, Body] = {}
        self.ordered: list[str] = []
        self._moves = moves
        self._serves = serves

    def order(self) -> CopyOrder | None:
        """By where the store is now."""
        if not self.served:
            self.served = True
            return None
        return CopyOrder(plan="{}", endpoint=f"http://{self.place}", get="grant")

    async def get(self, resource: Resource, key: ObjectKey) -> Body:
        """As the cluster's; the claim is there."""
        if resource is CLAIMS:
            return {}
        if key.name not in self.pods:
            raise NotFoundError(key.name)
        return self.pods[key.name]

    async def create(self, resource: Resource, body: Body) -> Body:
        """As the cluster's."""
        name = body["metadata"]["name"]
        if resource is PODS:
            self.pods[name] = {"metadata": {"name": name, "uid": f"uid of {name}"}, "status": {"phase": "Pending"}}
            return self.pods[name]
        assert resource is SECRETS
        order = msgspec.json.decode(body["stringData"][ORDER_KEY], type=CopyOrder)
        self.place += len(self.ordered) < self._moves
        self.ordered.append(order.endpoint)
        well = self._serves and order.endpoint == f"http://{self.place}"
        self.pods[name]["status"] = {"phase": "Succeeded" if well else "Failed"}
        return body


def copied(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> CopySight:
    """How the copy of one job ends."""
    monkeypatch.setattr(copying, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(copying, "LOOK_SECONDS", 0.0)

    async def story() -> CopySight:
        changed = asyncio.Event()
        copy = JobCopy(cast(Cluster, house), CopierTemplate(SETTINGS, provision()), changed.set)
        output = {"copyTo": {"persistentVolumeClaim": {"claimName": "results"}}}
        job = facts(output=output)
        assert job.plan is not None
        copy.begin(job, job.plan, house.order)
        async with asyncio.timeout(30):
            while copy.sight.state is CopyState.RUNNING:
                changed.clear()
                await changed.wait()
        await copy.close()
        return copy.sight

    return asyncio.run(story())


@pytest.mark.parametrize("moves", [0, 1, ATTEMPTS])
def test_each_copier_is_told_where_the_store_is_now(moves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    house = Warehouse(moves)
    assert copied(house, monkeypatch).state is CopyState.DONE
    assert house.ordered == [f"http://{place}" for place in range(moves + 1)]


def test_a_copier_is_made_when_the_store_is_served_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert copied(Warehouse(0, served=False), monkeypatch).state is CopyState.DONE


@pytest.mark.unhappy("a copy that fails where the store is")
def test_a_copy_that_fails_where_the_store_is_has_three_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    house = Warehouse(0, serves=False)
    assert "failed 3 times" in copied(house, monkeypatch).words
    assert len(house.ordered) == ATTEMPTS


@pytest.mark.unhappy("a store that moves under every copier")
def test_a_store_that_never_stays_where_it_is_ends_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    house = Warehouse(99)
    assert copied(house, monkeypatch).state is CopyState.FAILED
    assert len(house.ordered) == MOST_PODS
