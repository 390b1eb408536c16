"""The door of a job's store for members; see `tasklet_runner.wire.store` for the protocol."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import ClientConnectionResetError, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tasklet_runner.doors.bodies import BUDGETS, Budgets
from tasklet_runner.store.batch_serving import asked_keys, receive_batch, send_batch, take_files, tell_places
from tasklet_runner.store.checkpoint_serving import CheckpointDoor, Writer, writer_by_grant
from tasklet_runner.store.checkpoints import Checkpoints
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.grants import Allowance, check_grant, require_below
from tasklet_runner.store.refusals import refusal
from tasklet_runner.store.serving import granted_bytes, key_of, receive_object, send_object, stored
from tasklet_runner.wire.errors import LeaseGridError, StateDirectoryError
from tasklet_runner.wire.neighbours import BATCH_FILES_PATH, BATCH_PLACES_PATH
from tasklet_runner.wire.signed import Statement, verify
from tasklet_runner.wire.statements import CheckpointGrant, GetGrant, PutGrant
from tasklet_runner.wire.store import BATCH_GET_PATH, BATCH_PATH, GRANT_HEADER, OBJECTS_PATH

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

READ_BUFFER_BYTES = 1024 * 1024
"""So much of a body is taken in while the disk is busy with what came before."""


@dataclass(frozen=True)
class StoreServer:
    """A running server. `endpoint`: `unix:///path`."""

    endpoint: str
    _runner: web.AppRunner
    _path: Path

    async def close(self) -> None:
        """Stop serving; uploads that are under way are cut off and leave nothing. A second call does nothing."""
        await self._runner.cleanup()
        self._path.unlink(missing_ok=True)


async def serve(
    store: DiskStore, path: Path, key: Ed25519PublicKey, *, clock: Callable[[], float] = time.time
) -> StoreServer:
    """Serve the store on a unix socket at `path` and set its `endpoint`.

    `key` is the coordinator's, which signs grants; `clock` gives UNIX seconds. Raises StateDirectoryError when the
    socket cannot be made.
    """
    runner = web.AppRunner(
        _application(_Door(store, key, clock)),
        access_log=None,
        shutdown_timeout=0.1,
        # Lingering reads the rest of a refused upload, so that its sender gets to read the refusal.
        lingering_time=2.0,
        read_bufsize=READ_BUFFER_BYTES,
    )
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
    except OSError as error:
        await runner.cleanup()
        raise StateDirectoryError(
            f"cannot listen on {path}: {error}",
            remedy="a socket's path has at most 107 bytes: set a short XDG_RUNTIME_DIR",
        ) from error
    path.chmod(0o600)
    store.endpoint = f"unix://{path}"
    return StoreServer(store.endpoint, runner, path)


def _application(door: "_Door") -> web.Application:
    application = web.Application(middlewares=[_refusals])
    application[BUDGETS] = Budgets.usual()
    key = OBJECTS_PATH + "{key:.+}"
    application.add_routes(
        [
            web.put(key, door.put),
            web.get(key, door.get),
            web.post(BATCH_PATH, door.put_batch),
            web.post(BATCH_GET_PATH, door.get_batch),
            web.post(BATCH_FILES_PATH, door.take_files),
            web.post(BATCH_PLACES_PATH, door.tell_places),
            *CheckpointDoor(door.checkpoints, door.checkpoint_writer, _as_it_is).routes(lambda handler: handler),
        ]
    )
    return application


@web.middleware
async def _refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except LeaseGridError as error:
        return refusal(error)
    except ClientConnectionResetError:
        # The member is gone; nobody reads the answer.
        return web.Response(status=HTTPStatus.BAD_REQUEST)


async def _as_it_is(work: Coroutine[Any, Any, web.StreamResponse]) -> web.StreamResponse:
    return await work


class _Door:
    """Asks the grant who may, and has the store do it."""

    def __init__(self, store: DiskStore, key: Ed25519PublicKey, clock: Callable[[], float]) -> None:
        self._store = store
        self._key = key
        self._clock = clock

    def checkpoints(self) -> Checkpoints:
        return self._store.checkpoints

    def checkpoint_writer(self, request: web.Request, key: str) -> Writer:
        grant = self._shown(request, CheckpointGrant)
        check_grant(grant, store_uid=self._store.uid, term=self._store.term, now=self._clock())
        return writer_by_grant(grant, key)

    async def put(self, request: web.Request) -> web.StreamResponse:
        key, grant = key_of(request), self._shown(request, PutGrant)
        left = granted_bytes(self._store, key, grant, store_uid=self._store.uid, now=self._clock())
        return stored(await receive_object(request, self._store, left))

    async def get(self, request: web.Request) -> web.StreamResponse:
        self._require_readable(request, (key_of(request),))
        return await send_object(request, self._store)

    async def put_batch(self, request: web.Request) -> web.StreamResponse:
        return await receive_batch(request, self._store, self._allowance(request))

    async def get_batch(self, request: web.Request) -> web.StreamResponse:
        return await send_batch(request, self._store, await self._readable(request))

    async def take_files(self, request: web.Request) -> web.StreamResponse:
        return await take_files(request, self._store, self._allowance(request))

    async def tell_places(self, request: web.Request) -> web.StreamResponse:
        return await tell_places(request, self._store, await self._readable(request))

    def _allowance(self, request: web.Request) -> Allowance:
        grant = self._shown(request, PutGrant)
        check_grant(grant, store_uid=self._store.uid, term=self._store.term, now=self._clock())
        return Allowance.of(grant)

    async def _readable(self, request: web.Request) -> tuple[str, ...]:
        keys = await asked_keys(request)
        self._require_readable(request, keys)
        return keys

    def _require_readable(self, request: web.Request, keys: tuple[str, ...]) -> None:
        grant = self._shown(request, GetGrant)
        check_grant(grant, store_uid=self._store.uid, term=self._store.term, now=self._clock())
        for key in keys:
            require_below(grant.key_prefix, key)

    def _shown(self, request: web.Request, kind: type[Statement]) -> Statement:
        return verify(request.headers.get(GRANT_HEADER, ""), kind, self._key)
