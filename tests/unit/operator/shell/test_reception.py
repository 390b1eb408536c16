"""What comes in by the watches reaches the observer, and the end of the first lists is known."""

import asyncio
from typing import Any

import pytest

from leasegrid_operator.observing import Body
from leasegrid_operator.progress import WatchProgress
from leasegrid_operator.reception import WATCHED, Reception, Scope
from leasegrid_operator.resources import LEASES, POOLS, Resource
from tests.support.observers import Noting


def event(kind: str | None, name: str, namespace: str = "default") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "3"}
    return {"type": kind, "object": {"metadata": metadata}}


def reception(observer: Noting, *namespaces: str) -> Reception:
    return Reception(observer, Scope(namespaces, lambda: 0.0), WatchProgress(WATCHED, 0.0))


@pytest.mark.parametrize(
    ("kind", "deleted"),
    [
        pytest.param(None, False, id="an object of the first list"),
        pytest.param("ADDED", False, id="a new object"),
        pytest.param("MODIFIED", False, id="a change"),
        pytest.param("DELETED", True, id="a deletion"),
    ],
)
def test_the_observer_is_told_of(kind: str | None, deleted: bool) -> None:
    observer = Noting()
    reception(observer).received(POOLS, event(kind, "p"))

    assert observer.told == [("pool", "default", "p", deleted)]


async def listed(desk: Reception, resource: Resource, *names: str, namespace: str = "") -> None:
    desk.asked(resource.path(namespace), {})
    for name in names:
        desk.received(resource, event(None, name, namespace or "default"))
    desk.asked(resource.path(namespace), {"watch": "true"})


def test_the_first_lists_are_complete_when_all_kinds_are_watched() -> None:
    async def run() -> None:
        desk = reception(Noting())
        for resource in WATCHED[1:]:
            await listed(desk, resource)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(desk.listed.wait(), 0.05)
        await listed(desk, WATCHED[0], "p")
        await asyncio.wait_for(desk.listed.wait(), 30)

    asyncio.run(run())


def test_each_namespace_has_lists_of_its_own() -> None:
    async def run() -> None:
        desk = reception(Noting(), "a", "b")
        for resource in WATCHED:
            for namespace in ("a", "b") if resource.namespaced else ("",):
                assert not desk.listed.is_set()
                await listed(desk, resource, namespace=namespace)
        await asyncio.wait_for(desk.listed.wait(), 30)

    asyncio.run(run())


@pytest.mark.unhappy("watch closed, 410: an object deleted meanwhile is told of")
def test_an_object_that_a_new_list_does_not_show_is_told_as_deleted_with_its_uid() -> None:
    class Keeping(Noting):
        def __init__(self) -> None:
            super().__init__()
            self.last: Body = {}
            self.deletion = asyncio.Event()

        def lease_seen(self, namespace: str, body: Body, deleted: bool) -> None:
            super().lease_seen(namespace, body, deleted)
            self.last = body
            if deleted:
                self.deletion.set()

    async def run() -> Keeping:
        observer = Keeping()
        desk = reception(observer)
        await listed(desk, LEASES, "a", "b")
        await listed(desk, LEASES, "a")
        await observer.deletion.wait()
        return observer

    observer = asyncio.run(asyncio.wait_for(run(), 30))
    assert observer.told[-1] == ("lease", "default", "b", True)
    assert observer.last["metadata"] == {"name": "b", "namespace": "default", "uid": "uid-b"}


def test_requests_of_other_paths_are_of_no_interest() -> None:
    reception(Noting()).asked("/version", {})


@pytest.mark.unhappy("a namespace without rights")
def test_what_may_not_be_listed_is_said_until_it_may() -> None:
    desk = reception(Noting(), "a")
    path = POOLS.path("a")
    desk.answered(path, 200)
    assert desk.refused == {}
    desk.answered(path, 403)
    assert "instancepools of the namespace a may not be listed" in desk.refused[path]
    desk.answered(path, 200)
    assert desk.refused == {}


def test_without_namespaces_the_role_of_the_whole_cluster_is_missed() -> None:
    desk = reception(Noting())
    desk.answered(LEASES.path(), 403)
    assert desk.refused[LEASES.path()].endswith("(bind its ClusterRole)")


def test_off_a_stream_all_is_taken_but_the_end_of_what_was_listed() -> None:
    observer = Noting()
    desk = reception(observer)
    desk.received(POOLS, event(None, "listed"))

    assert [desk.taken(POOLS, event(kind, "new")) for kind in ("ADDED", "MODIFIED", "DELETED")] == [True] * 3
    assert desk.taken(POOLS, event("MODIFIED", "listed"))
    assert not desk.taken(POOLS, event("DELETED", "listed"))
    assert ("pool", "default", "listed", True) not in observer.told
    # Whoever listed it hands its end over as well; one of that uid that comes again is new.
    desk.received(POOLS, event("DELETED", "listed"))
    assert observer.told[-1] == ("pool", "default", "listed", True)
    assert desk.taken(POOLS, event("DELETED", "listed"))


def test_a_watch_waits_until_its_list_was_handed_over() -> None:
    async def run() -> None:
        observer = Noting()
        desk = reception(observer)
        desk.asked(LEASES.path(""), {})
        assert desk.asked(LEASES.path(""), {"watch": "true"}) is LEASES
        waiting = asyncio.create_task(desk.settled(LEASES.path("")))
        await asyncio.sleep(0)
        desk.received(LEASES, event(None, "late"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.wait_for(waiting, 30)
        await asyncio.wait_for(desk.settled(POOLS.path("")), 30)  # nothing was listed there
        assert desk.asked("/version", {}) is None

    asyncio.run(run())
