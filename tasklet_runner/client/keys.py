"""Connections to members by TLS: whose key it has to be, checked before the first byte is sent.

Members have no certificate authority. Each makes its own key, and who wants to reach one knows the key's name from the
fabric: see `tasklet_runner.wire.pins`.
"""

import asyncio
import ssl
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError

from tasklet_runner.wire.errors import ProtocolError, UnreachableError, WrongKeyError
from tasklet_runner.wire.pins import UNPROVEN, incarnation_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace


@lru_cache(maxsize=1)
def members_context() -> ssl.SSLContext:
    """For connections to members: TLS 1.3; no authority is asked, as the key itself is compared."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def key_behind(transport: asyncio.BaseTransport) -> str:
    """The name of the other side's key; empty where there is no TLS."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return incarnation_of(certificate) if certificate else ""


class PinnedKey(aiohttp.Fingerprint):
    """One member's key, for aiohttp, which checks it after each handshake and before it sends a request."""

    def __init__(self, incarnation: str) -> None:
        """Raises ProtocolError for a member that is not known yet: only the fabric speaks to such a one."""
        if incarnation == UNPROVEN:
            raise ProtocolError("this member's key is not known", remedy="take its endpoint from the lease's status")
        self._incarnation = incarnation
        self._name = incarnation.encode("ascii")
        self._met: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    @property
    def fingerprint(self) -> bytes:
        """The name that is expected."""
        return self._name

    def check(self, transport: asyncio.Transport) -> None:
        """Raises aiohttp.ServerFingerprintMismatch."""
        self._met.add(transport)
        found = key_behind(transport)
        if found != self._incarnation:
            peer = transport.get_extra_info("peername")
            host, port = peer[:2] if isinstance(peer, tuple) else (str(peer), 0)
            raise aiohttp.ServerFingerprintMismatch(self._name, found.encode("ascii"), host, port)

    async def hang_up(self) -> None:
        """End what is left of connections: a member that is gone says no farewell, and asyncio waits long for one."""
        for transport in list(self._met):
            transport.abort()
        # Once around the loop, in which they are closed.
        await asyncio.sleep(0)


class PinnedConnector(aiohttp.TCPConnector):
    """TLS to one member."""

    def __init__(self, key: PinnedKey, keepalive_timeout: float) -> None:
        super().__init__(ssl=key, keepalive_timeout=keepalive_timeout)
        self._key = key

    async def close(self, *, abort_ssl: bool = True) -> None:
        """See aiohttp; returns when the sockets are closed."""
        await super().close(abort_ssl=abort_ssl)
        await self._key.hang_up()


class PinnedUnixConnector(aiohttp.UnixConnector):
    """TLS over a unix socket, behind which a port-forward leads to a member. aiohttp has only plain ones."""

    def __init__(self, path: str, key: PinnedKey, keepalive_timeout: float) -> None:
        super().__init__(path, keepalive_timeout=keepalive_timeout)
        self._key = key

    async def close(self, *, abort_ssl: bool = True) -> None:
        """See aiohttp; returns when the sockets are closed."""
        await super().close(abort_ssl=abort_ssl)
        await self._key.hang_up()

    async def _create_connection(
        self, req: "ClientRequest", traces: "list[Trace]", timeout: aiohttp.ClientTimeout
    ) -> "ResponseHandler":
        try:
            async with asyncio.timeout(timeout.sock_connect):
                transport, protocol = await self._loop.create_unix_connection(
                    cast("Callable[[], ResponseHandler]", self._factory),
                    self.path,
                    ssl=members_context(),
                    server_hostname="",
                )
        except OSError as error:
            raise UnixClientConnectorError(self.path, req.connection_key, error) from error
        try:
            self._key.check(transport)
        except aiohttp.ServerFingerprintMismatch:
            transport.abort()
            raise
        return protocol


def unreachable(error: BaseException, endpoint: str, otherwise: UnreachableError) -> UnreachableError:
    """What a failed connection by aiohttp means: `otherwise`, or WrongKeyError where a key was another."""
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return WrongKeyError(endpoint, error.got.decode("ascii"), error.expected.decode("ascii"))
    return otherwise
