"""Where an endpoint is reached: `http://host:port`, `https://host:port` or `unix:///path`.

The last two with `#` and an incarnation behind it: by TLS, and only if the member there has that key (`wire.pins`).
"""

import aiohttp

from tasklet_runner.client.keys import PinnedConnector, PinnedKey, PinnedUnixConnector
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.pins import split_pin

_UNIX = "unix://"

KEEP_ALIVE_SECONDS = 60.0
"""A connection stays open so long, so that a batch of binds need not connect first."""


def base_url(endpoint: str, name: str = "member") -> str:
    """The URL before the path; behind a unix socket the host is only a name. Raises ProtocolError for others."""
    address, pin = split_pin(endpoint)
    if address.startswith(_UNIX):
        return f"https://{name}" if pin else f"http://{name}"
    if address.startswith("https://" if pin else ("http://", "https://")):
        return address.rstrip("/")
    raise ProtocolError(f"the endpoint {endpoint!r} is neither http(s):// nor unix://", remedy="give unix:///path")


def connector_to(endpoint: str, keep_alive_seconds: float) -> aiohttp.BaseConnector:
    """What opens connections to this endpoint alone, and to none but the member that it names."""
    address, pin = split_pin(endpoint)
    if address.startswith(_UNIX):
        path = address.removeprefix(_UNIX)
        if pin:
            return PinnedUnixConnector(path, PinnedKey(pin), keep_alive_seconds)
        return aiohttp.UnixConnector(path=path, keepalive_timeout=keep_alive_seconds)
    if pin:
        return PinnedConnector(PinnedKey(pin), keep_alive_seconds)
    return aiohttp.TCPConnector(keepalive_timeout=keep_alive_seconds)


def open_session(endpoint: str, *, timeout_seconds: float) -> aiohttp.ClientSession:
    """A session for this endpoint alone; the caller closes it. Needs a running event loop."""
    return aiohttp.ClientSession(
        connector=connector_to(endpoint, KEEP_ALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
