"""What comes in by the watches, handed to the Observer: each event, each unseen deletion, and when all is listed."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from leasegrid_operator.logs import Action, log
from leasegrid_operator.observing import Body, Observer
from leasegrid_operator.progress import WatchProgress
from leasegrid_operator.resources import CLAIMS, GRAPHS, JOBS, LEASES, NODES, PODS, POOLS, ObjectKey, Resource
from leasegrid_operator.sightings import Sightings

WATCHED = (POOLS, LEASES, JOBS, GRAPHS, PODS, CLAIMS, NODES)

QUIET_TURNS = 100
"""Turns of the event loop without an event after which all that was queued before has been handed over: between the
queue and us nothing waits for anything outside of the loop, and an event takes fewer than ten turns."""

_NO_RIGHT = (401, 403)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scope:
    """What is watched: these namespaces, or all if there are none; `clock` is monotonic, in seconds."""

    namespaces: tuple[str, ...]
    clock: Callable[[], float]


class Reception:
    """Between the watches and the Observer; belongs to one event loop.

    `listed` is set once the observer was told of all that was there at the start; `refused`: what the API server does
    not let be listed, in words. While there is any at the start nothing is decided: half of a namespace is no basis.
    """

    def __init__(self, observer: Observer, scope: Scope, progress: WatchProgress) -> None:
        self._tell = {
            POOLS: observer.pool_seen,
            LEASES: observer.lease_seen,
            JOBS: observer.job_seen,
            GRAPHS: observer.job_seen,
            PODS: observer.pod_seen,
            CLAIMS: observer.claim_seen,
            NODES: observer.node_seen,
        }
        self._scope = scope
        self._sightings = Sightings()
        self._resources = {path: resource for resource in WATCHED for path in self._paths(resource)}
        self._unlisted = set(self._resources)
        self._reading: set[str] = set()
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._by_list: set[str] = set()
        self._received = 0
        self._progress = progress
        self.listed = asyncio.Event()
        self.refused: dict[str, str] = {}

    def taken(self, resource: Resource, event: Mapping[str, Any]) -> bool:
        """An event off the stream of a watch. False for the deletion of an object that was listed: whoever handed it
        over then keeps something of it, is to be shown its end, and hands that over as well.
        """
        if event["type"] == "DELETED" and event["object"]["metadata"]["uid"] in self._by_list:
            return False
        self.received(resource, event)
        return True

    def received(self, resource: Resource, event: Mapping[str, Any]) -> None:
        """An event as the API server sent it; `type` is None for an object of a list."""
        body: Body = event["object"]
        metadata = body["metadata"]
        key = ObjectKey(metadata.get("namespace", ""), metadata["name"])
        deleted = event["type"] == "DELETED"
        path = self._path(resource, key.namespace)
        if event["type"] is None:
            self._by_list.add(metadata["uid"])
        if deleted:
            self._by_list.discard(metadata["uid"])
            self._sightings.gone(path, metadata["uid"])
        else:
            self._sightings.noted(path, metadata["uid"], key, listed=event["type"] is None)
        self._received += 1
        self._progress.seen(resource, metadata.get("resourceVersion", ""), self._scope.clock())
        self._tell[resource](key.namespace, body, deleted)

    async def settled(self, path: str) -> None:
        """Wait until all that the list of this path showed was handed over: an event of its watch is newer."""
        if (settling := self._settling.get(path)) is not None:
            await asyncio.wait({settling})

    def asked(self, path: str, query: Mapping[str, str]) -> Resource | None:
        """A list or a watch was requested of the API server: a watch follows when its list was read to the end.
        Returns of which kind, None for any other request.
        """
        resource = self._resources.get(path)
        if resource is None:
            return None
        self._progress.asked(resource, self._scope.clock())
        if "watch" in query:
            self._list_read(path)
        elif "continue" not in query:
            self._sightings.listing_began(path)
            self._reading.add(path)
        return resource

    def answered(self, path: str, status: int) -> None:
        """The API server answered a list or a watch."""
        resource = self._resources.get(path)
        if resource is None:
            return
        if status not in _NO_RIGHT:
            self.refused.pop(path, None)
        elif path not in self.refused:
            self.refused[path] = words = _refusal(resource, path, status)
            log(_logger, logging.WARNING, Action.WATCH_REFUSED, words)

    def _list_read(self, path: str) -> None:
        if path in self._reading:
            self._reading.discard(path)
            self._settling[path] = asyncio.create_task(self._settle(path))

    async def _settle(self, path: str) -> None:
        await self._quiet()
        for uid, key in self._sightings.listing_ended(path):
            self._by_list.discard(uid)
            metadata = {"name": key.name, "namespace": key.namespace, "uid": uid}
            self._tell[self._resources[path]](key.namespace, {"metadata": metadata}, True)
        self._unlisted.discard(path)
        if not self._unlisted:
            self.listed.set()

    async def _quiet(self) -> None:
        turns, received = 0, self._received
        while turns < QUIET_TURNS:
            await asyncio.sleep(0)
            turns = turns + 1 if received == self._received else 0
            received = self._received

    def _paths(self, resource: Resource) -> list[str]:
        namespaces = self._scope.namespaces if resource.namespaced else ()
        return [resource.path(namespace) for namespace in namespaces or ("",)]

    def _path(self, resource: Resource, namespace: str) -> str:
        return resource.path(namespace if self._scope.namespaces else "")


def _refusal(resource: Resource, path: str, status: int) -> str:
    _, _, rest = path.partition("/namespaces/")
    where = f" of the namespace {rest.partition('/')[0]}" if rest else ""
    remedy = (
        "bind the operator's role there, or take the namespace out of --namespaces" if rest else "bind its ClusterRole"
    )
    return f"{resource.plural}{where} may not be listed: the API server answers {status} ({remedy})"
