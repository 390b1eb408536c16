"""The watches: kopf lists and watches, and each event goes to the Reception. The only module that imports kopf.

Of kopf are used its lists and watches, with resumption and back-off, and `on.event` alone: no finalizers, no
annotations, no patches, no events, no peering; nothing is written. What was listed comes by `on.event`, what changes
is taken off the stream (see `tapping`), in the session that kopf is given. What it leaves open is closed here and in
the Reception: it takes the process's signals, it ends after errors that pass, it cancels every task of the loop when
it ends, and it tells neither of deletions between two lists nor when the first lists are complete.
"""

import asyncio
import itertools
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import aiohttp
import kopf

from leasegrid_operator.cluster import Credentials
from leasegrid_operator.logs import Action, log
from leasegrid_operator.pools.naming import OUR_PODS
from leasegrid_operator.reception import WATCHED, Reception
from leasegrid_operator.resources import CLAIMS, PODS, Resource
from leasegrid_operator.tapping import TappedStream

SERVER_SECONDS = 120
"""After this the server ends a watch, and it is asked for anew: the beat by which liveness knows that it is."""
CLIENT_SECONDS = 130.0
SILENT_SECONDS = 70.0
"""A watch that says nothing for longer is opened anew: the server sends a bookmark each minute."""
CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 60.0
IDLE_SECONDS = 0.5
"""How long kopf keeps the task of an object that is quiet. Their number has no limit: kopf would handle no more than
the limit divided by this time, in objects a second."""
PAGE = 500
RESTART_SECONDS = 1.0
CLOSING_SECONDS = 0.05

_logger = logging.getLogger(__name__)


async def watch(reception: Reception, credentials: Credentials, namespaces: Sequence[str], stop: asyncio.Event) -> None:
    """Watch these namespaces, or all, until `stop` is set, here or by SIGTERM or SIGINT.

    Errors that end kopf are logged, and it is started again: it lists anew and so catches up.
    """
    while not stop.is_set():
        failure = await _watch_once(reception, credentials, namespaces, stop)
        if not stop.is_set():
            log(_logger, logging.ERROR, Action.WATCH_RESTARTED, f"the watches ended and are started again: {failure!r}")
            await asyncio.sleep(RESTART_SECONDS)


async def _watch_once(
    reception: Reception, credentials: Credentials, namespaces: Sequence[str], stop: asyncio.Event
) -> BaseException | None:
    """Until kopf ends or is to stop; returns what ended it."""
    tasks = await kopf.spawn_tasks(
        registry=_registry(reception, credentials),
        settings=_settings(),
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
        # For its peering, which we do not use; it would ask for the user's name, and an image's user may have none.
        identity=cast(Any, "leasegrid-operator"),
        stop_flag=stop,
    )
    _take_signals_back(stop)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Not kopf.run_tasks(): that cancels whatever runs in this loop besides, the broker included.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Connections that were cut in the middle of a stream are gone some turns of the loop later, not at once.
        await asyncio.sleep(CLOSING_SECONDS)
    return next((task.exception() for task in done if not task.cancelled() and task.exception()), None)


def _take_signals_back(stop: asyncio.Event) -> None:
    """From kopf, which on a signal would end alone and leave the rest of the process running."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)


def _registry(reception: Reception, credentials: Credentials) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def _(**_: object) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=credentials.server, aiohttp_session=_session(reception, credentials))

    for resource in WATCHED:
        group, version, plural = resource.group, resource.version, resource.plural
        kopf.on.event(registry=registry, id=plural, group=group, version=version, plural=plural)(
            _handler(reception, resource)
        )
    return registry


def _handler(reception: Reception, resource: Resource) -> Callable[..., Awaitable[None]]:
    async def handle(event: kopf.RawEvent, **_: object) -> None:
        reception.received(resource, event)

    return handle


def _session(reception: Reception, credentials: Credentials) -> aiohttp.ClientSession:
    async def announced(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        path, query = request.url.path, request.url.query
        resource = reception.asked(path, query)
        if authorization := await credentials.authorization():
            request.headers["Authorization"] = authorization
        response = await send(request)
        reception.answered(path, response.status)
        if resource is not None and "watch" in query and response.ok:
            ready, take = partial(reception.settled, path), partial(reception.taken, resource)
            response.content = cast(aiohttp.StreamReader, TappedStream(response.content, ready, take))
        return response

    connector = aiohttp.TCPConnector(limit=0, ssl=credentials.tls)
    return aiohttp.ClientSession(connector=connector, middlewares=(announced,))


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.execution.default_backoff = RESTART_SECONDS
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.queueing.worker_limit = None
    settings.queueing.error_delays = (RESTART_SECONDS,)
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.error_backoffs = _BackOffs()
    # Its finalizer is never set, and so never taken away either; the name is ours, lest another operator's is.
    settings.persistence.finalizer = "leasegrid.dev/unused"
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    _set_watching(settings)
    return settings


def _set_watching(settings: kopf.OperatorSettings) -> None:
    watching = settings.watching
    watching.server_timeout = SERVER_SECONDS
    watching.client_timeout = CLIENT_SECONDS
    watching.connect_timeout = CONNECT_SECONDS
    watching.inactivity_timeout = SILENT_SECONDS
    watching.chunk_size = PAGE
    for resource in (PODS, CLAIMS):
        watching.label_selectors[resource.group, resource.version, resource.plural] = OUR_PODS


class _BackOffs(Iterable[float]):
    """Waits between the tries of a request, in seconds, without end: no outage of the API server ends a watch."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.05, 0.1, 0.2, 0.5), itertools.repeat(1.0))


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nothing is remembered on objects, nor compared: kopf would copy each object deeply at each event for that."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None

    def purge(self, **_: object) -> None:
        return None

    def touch(self, **_: object) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


class _NoProgress(kopf.ProgressStorage):
    """Nor is the progress of handlers: ours are called once for an event."""

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None

    def purge(self, **_: object) -> None:
        return None

    def touch(self, **_: object) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
