"""The store's HTTP door for members; see `tasklet_runner.wire.store` for the protocol."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from aiohttp import ClientConnectionResetError, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.refusals import refusal
from tasklet_runner.store.serving import granted_bytes, key_of, receive_object, stored
from tasklet_runner.wire.errors import LeaseGridError, StateDirectoryError
from tasklet_runner.wire.signed import verify
from tasklet_runner.wire.statements import PutGrant
from tasklet_runner.wire.store import GRANT_HEADER, OBJECTS_PATH


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

    `key` is the coordinator's, which signs put grants; `clock` gives UNIX seconds. Raises StateDirectoryError when the
    socket cannot be made.
    """
    door = _Door(store, key, clock)
    application = web.Application()
    application.router.add_put(OBJECTS_PATH + "{key:.+}", door.put)
    # Lingering reads the rest of a refused upload, so that its sender gets to read the refusal.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, lingering_time=2.0)
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


class _Door:
    def __init__(self, store: DiskStore, key: Ed25519PublicKey, clock: Callable[[], float]) -> None:
        self._store = store
        self._key = key
        self._clock = clock

    async def put(self, request: web.Request) -> web.Response:
        try:
            key = key_of(request)
            grant = verify(request.headers.get(GRANT_HEADER, ""), PutGrant, self._key)
            left = granted_bytes(self._store, key, grant, store_uid=self._store.uid, now=self._clock())
            return stored(await receive_object(request, self._store, left))
        except LeaseGridError as error:
            return refusal(error)
        except ClientConnectionResetError:
            # The member is gone; nobody reads the answer.
            return web.Response(status=HTTPStatus.BAD_REQUEST)
