"""Where an endpoint is reached: `http://host:port`, `https://host:port` or `unix:///path`."""

import aiohttp

from tasklet_runner.wire.errors import ProtocolError

_UNIX = "unix://"

KEEP_ALIVE_SECONDS = 60.0
"""A connection stays open so long, so that a batch of binds need not connect first."""


def base_url(endpoint: str) -> str:
    """The URL before the path; behind a unix socket the host is only a name. Raises ProtocolError for others."""
    if endpoint.startswith(_UNIX):
        return "http://member"
    if endpoint.startswith(("http://", "https://")):
        return endpoint.rstrip("/")
    raise ProtocolError(f"the endpoint {endpoint!r} is neither http(s):// nor unix://", remedy="give unix:///path")


def open_session(endpoint: str, *, timeout_seconds: float) -> aiohttp.ClientSession:
    """A session for this endpoint alone; the caller closes it. Needs a running event loop."""
    connector: aiohttp.BaseConnector
    if endpoint.startswith(_UNIX):
        connector = aiohttp.UnixConnector(path=endpoint.removeprefix(_UNIX), keepalive_timeout=KEEP_ALIVE_SECONDS)
    else:
        connector = aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE_SECONDS)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
