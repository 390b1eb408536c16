"""What a user with watches sees of a namespace: each change of its objects, with the instant of its arrival."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cluster.api import KubeApi

Object = dict[str, Any]

KINDS = ("jobs", "taskgraphs", "leases", "pods", "persistentvolumeclaims")
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Sighting:
    """An object as it was at a monotonic instant; `gone`: it was deleted then."""

    at: float
    plural: str
    body: Object
    gone: bool = False

    @property
    def name(self) -> str:
        """The object's."""
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The object's."""
        return str(self.body["metadata"]["uid"])

    @property
    def owners(self) -> tuple[str, ...]:
        """The uids of those to whom it belongs."""
        return tuple(one["uid"] for one in self.body["metadata"].get("ownerReferences") or ())

    @property
    def status(self) -> Object:
        """Its status; empty before there is one."""
        return self.body.get("status") or {}

    def is_true(self, *conditions: str) -> bool:
        """True when one of these conditions is."""
        return any(one["type"] in conditions and one["status"] == "True" for one in self.status.get("conditions") or ())


class Sightings:
    """Watches in a loop of their own; requests by the same keep-alive connections. `log`: everything, in order."""

    def __init__(self, api: KubeApi, path: Callable[[str], str]) -> None:
        self.log: list[Sighting] = []
        self._api = api
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._news = threading.Condition()
        self._listed = {plural: asyncio.Event() for plural in KINDS}
        self._tasks = [self._loop.create_task(self._follow(plural)) for plural in KINDS]

    def make(self, plural: str, body: Object) -> float:
        """Make an object; the monotonic instant before. Raises AssertionError: it was refused."""
        began = time.monotonic()
        reply = asyncio.run_coroutine_threadsafe(self._api.ask("POST", self._path(plural), body), self._loop).result()
        assert reply.accepted, reply.body.get("message")
        return began

    def delete(self, plural: str, name: str) -> None:
        """Delete an object."""
        path = f"{self._path(plural)}/{name}"
        asyncio.run_coroutine_threadsafe(self._api.ask("DELETE", path), self._loop).result()

    def listing(self, plural: str) -> list[Object]:
        """What there is now, asked of the server."""
        reply = asyncio.run_coroutine_threadsafe(self._api.ask("GET", self._path(plural)), self._loop).result()
        return list(reply.body["items"])

    def until(self, found: Callable[[Sighting], bool], what: str, seconds: float = PATIENCE_SECONDS) -> Sighting:
        """The first sighting of which this is true, also an old one. Raises AssertionError: there was none in time."""
        position, deadline = 0, time.monotonic() + seconds
        with self._news:
            while True:
                while position < len(self.log):
                    if found(self.log[position]):
                        return self.log[position]
                    position += 1
                assert self._news.wait(deadline - time.monotonic()), f"in {seconds:.0f} s it was not seen: {what}"

    def at(self, instant: float) -> list[Sighting]:
        """All objects as they stood at that instant."""
        known: dict[str, Sighting] = {}
        for one in self.log:
            if one.at <= instant:
                known[one.uid] = one
        return [one for one in known.values() if not one.gone]

    def forget(self) -> None:
        """Drop what is over, so that the next search is short."""
        with self._news:
            self.log = self.at(time.monotonic())

    async def until_listed(self) -> None:
        """Until every kind has been listed once."""
        await asyncio.gather(*(one.wait() for one in self._listed.values()))

    async def close(self) -> None:
        """End the watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, plural: str) -> None:
        async for event in self._api.follow(self._path(plural)):
            now = time.monotonic()
            with self._news:
                self.log += [Sighting(now, plural, body, event.kind == "DELETED") for body in event.items]
                self._news.notify_all()
            self._listed[plural].set()


@contextmanager
def sightings(kubeconfig: Path, path: Callable[[str], str]) -> Iterator[Sightings]:
    """Watches for the time of a with block. `path`: where the objects of a kind are."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sightings")
    thread.start()
    api = KubeApi(kubeconfig)

    async def begin() -> Sightings:
        await api.__aenter__()
        made = Sightings(api, path)
        await made.until_listed()
        return made

    async def end(made: Sightings) -> None:
        await made.close()
        await api.__aexit__(None, None, None)

    try:
        made = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        try:
            yield made
        finally:
            asyncio.run_coroutine_threadsafe(end(made), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
