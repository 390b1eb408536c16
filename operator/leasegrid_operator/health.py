"""`/healthz`, `/readyz` and `/metrics` on a port of their own.

`/healthz` is refused when the watches have stalled (see `progress` for why an API server that is away is no reason).
An event loop that is stuck answers nothing at all: the probe's own time-out sees that, as this server shares the
loop with all that matters. `/readyz` is refused until this replica can serve.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_Handler = Callable[[web.Request], Awaitable[web.Response]]

Faults = Callable[[], tuple[str, ...]]
"""What is wrong now, in words; empty when nothing is."""


@dataclass(frozen=True)
class Health:
    """What the server shows: `stalled` decides liveness, `unready` readiness."""

    stalled: Faults
    unready: Faults
    registry: CollectorRegistry


@asynccontextmanager
async def serving(health: Health, host: str, port: int) -> AsyncIterator[int]:
    """Serve for the time of an `async with`; gives the port, which matters where 0 was asked for.

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(_application(health), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _application(health: Health) -> web.Application:
    application = web.Application()
    application.add_routes(
        [
            web.get("/healthz", _answer(health.stalled)),
            web.get("/readyz", _answer(health.unready)),
            web.get("/metrics", _metrics(health.registry)),
        ]
    )
    return application


def _answer(faults: Faults) -> _Handler:
    async def answer(_: web.Request) -> web.Response:
        found = faults()
        return web.Response(text="\n".join(found) or "ok", status=503 if found else 200)

    return answer


def _metrics(registry: CollectorRegistry) -> _Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer
