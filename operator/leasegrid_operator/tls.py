"""The broker's certificate: where it comes from, and that connections always get the newest.

A certificate is looked at once a minute and replaced in the running server: connections that stand keep theirs, new
ones get the new one.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from leasegrid_operator.authority import CERTIFICATE_ENTRY, SERVER_LIFE, Authority, installation_authority
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import NotFoundError, SettingsError
from leasegrid_operator.logs import Action, log
from leasegrid_operator.resources import CONFIG_MAPS, ObjectKey
from leasegrid_operator.settings import Settings, TlsMode
from tasklet_runner.wire.authorities import serving_context, trusting
from tasklet_runner.wire.errors import InputError

LOOK_SECONDS = 60.0

_logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where a certificate comes from."""

    def latest(self, now: datetime) -> bytes:
        """The newest certificate and its key in PEM; the same bytes while there is none newer. Raises OSError."""
        ...


@dataclass
class SelfMade:
    """Issued by the own authority for these names; a new one when two thirds of its life are over."""

    authority: Authority
    names: tuple[str, ...]
    _pem: bytes = b""
    _renew_at: datetime | None = None

    def latest(self, now: datetime) -> bytes:
        """See `Source`."""
        if self._renew_at is None or now >= self._renew_at:
            self._pem, self._renew_at = self.authority.issue(self.names, now), now + SERVER_LIFE * 2 / 3
        return self._pem


@dataclass(frozen=True)
class Files:
    """Files that somebody else renews, as kubelets do with a mounted Secret."""

    settings: Settings

    def latest(self, now: datetime) -> bytes:
        """See `Source`."""
        del now
        parts = (self.settings.tls_cert, self.settings.tls_key)
        return b"\n".join(path.read_bytes() for path in parts if path is not None)


@dataclass
class ServerTls:
    """`context` for the server; `authority`: PEM of who vouches for it, for members."""

    source: Source
    authority: str
    context: ssl.SSLContext = field(init=False)
    _pem: bytes = b""
    _current: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.num_tickets = 0
        # Chosen in each handshake: certificates cannot be taken out of a context, and one of another kind would stay.
        self.context.sni_callback = self._choose

    def refresh(self, now: datetime) -> bool:
        """Show the newest certificate from now on; False when it is the same. Raises OSError and InputError."""
        newest = self.source.latest(now)
        if newest == self._pem:
            return False
        self._current, self._pem = serving_context(newest), newest
        return True

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        connection.context = self._current


async def server_tls(settings: Settings, cluster: Cluster) -> ServerTls | None:
    """The broker's certificate as it is set, loaded, and its authority told to clients; None without TLS.

    Raises:
        SettingsError: files or Secret cannot be used, or the ConfigMap for clients is not there.
        ClusterError: the Secret can be neither read nor made, or the ConfigMap not written.
    """
    if settings.tls is TlsMode.OFF:
        return None
    if settings.tls is TlsMode.SELF_MADE:
        authority = await installation_authority(cluster, settings.own_namespace)
        tls = ServerTls(SelfMade(authority, names_of(settings)), authority.pem)
    else:
        tls = ServerTls(Files(settings), _authority_of(settings))
    try:
        tls.refresh(datetime.now(UTC))
    except (OSError, InputError) as error:
        raise SettingsError(f"--tls-cert and --tls-key: {error}", remedy="check the mounted Secret") from error
    if settings.tls_config_map:
        await _publish(cluster, ObjectKey(settings.own_namespace, settings.tls_config_map), tls.authority)
    return tls


async def _publish(cluster: Cluster, key: ObjectKey, authority: str) -> None:
    """Once in each replica's life: it changes with the authority, which is read at the start."""
    try:
        await cluster.patch(CONFIG_MAPS, key, {"data": {CERTIFICATE_ENTRY: authority}})
    except NotFoundError as error:
        raise SettingsError(
            f"--tls-config-map: there is no ConfigMap {key}",
            remedy="make an empty one of that name, or leave the setting out",
        ) from error


@asynccontextmanager
async def renewed(tls: ServerTls | None) -> AsyncIterator[None]:
    """Keep the certificate fresh for the time of the block."""
    keeping = asyncio.create_task(_keep(tls)) if tls is not None else None
    try:
        yield
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def _keep(tls: ServerTls) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if tls.refresh(datetime.now(UTC)):
                log(_logger, logging.INFO, Action.CERTIFICATE_LOADED, "the broker shows a new certificate")
        except (OSError, InputError) as error:
            log(_logger, logging.WARNING, Action.CERTIFICATE_REFUSED,
                f"the broker's old certificate stays: {error}")  # fmt: skip


def names_of(settings: Settings) -> tuple[str, ...]:
    """What a certificate that is made here says: every name and address at which this replica is asked."""
    addresses = (settings.advertised_address, settings.service_address)
    hosts = [urlsplit(address).hostname or "" for address in addresses]
    return tuple(dict.fromkeys(host for host in (*hosts, *settings.tls_names) if host))


def _authority_of(settings: Settings) -> str:
    path = settings.tls_ca
    try:
        text = path.read_text(encoding="ascii") if path is not None else ""
        trusting(text)
    except (OSError, UnicodeDecodeError, InputError) as error:
        raise SettingsError(f"--tls-ca: {error}", remedy="check the mounted Secret") from error
    return text
