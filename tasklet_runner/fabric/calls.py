"""Requests to the broker's replicas: credentials, following the leader, trying again; typed errors back."""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from tasklet_runner.fabric.answers import decoded, refusal_of
from tasklet_runner.wire.authorities import trusting
from tasklet_runner.wire.broker import (
    CAPABILITY_HEADER,
    NONCE_HEADER,
    PROOF_HEADER,
    STALE_NONCE,
    TOKEN_HEADER,
    NonceReply,
    proof_for,
)
from tasklet_runner.wire.errors import (
    InputError,
    LeaseGridError,
    NotLeaderError,
    OverloadedError,
    RefusedError,
    UnreachableError,
)
from tasklet_runner.wire.signed import sign

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 60.0
"""Shorter than the broker's own, so that it is this side that closes."""

CONNECT_SECONDS = 5.0
MAX_SPARE_NONCES = 64


@dataclass(frozen=True)
class BrokerAccess:
    """How the broker is reached and what is shown to it.

    `endpoints`: URLs of a Service or of replicas; `token_file`: a projected ServiceAccount token of audience
    `leasegrid`, read anew for each use, as kubelets rotate it; None where a lease's capability is all there is;
    `holder`: the key that leases are bound to; `namespace`: of leases that were acquired before this process;
    `patience_seconds`: a call is tried again so long. `ca_file`: who may vouch for https endpoints (PEM), read when
    connections are opened; None: the system's. `tls_name`: what their certificate must say; empty: the host that is
    asked.
    """

    endpoints: tuple[str, ...]
    token_file: Path | None
    holder: Ed25519PrivateKey
    namespace: str = "default"
    patience_seconds: float = 10.0
    ca_file: Path | None = None
    tls_name: str = ""


@dataclass(frozen=True)
class Ask:
    """One request: `path` with its query; a capability, or empty for the token; how long one answer may take."""

    method: str
    path: str
    body: bytes = b""
    capability: str = ""
    timeout_seconds: float = 10.0


class BrokerCalls:
    """Sends requests; keeps connections open, remembers who leads, and keeps a nonce ready for each replica."""

    def __init__(self, access: BrokerAccess, jitter: Callable[[], float] = random.random) -> None:
        self._access = access
        self._jitter = jitter
        self._target = access.endpoints[0].rstrip("/")
        self._next_endpoint = 0
        self._nonces: dict[str, deque[str]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; they are opened again when they are needed."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, ask: Ask) -> bytes:
        """The body of the answer, from whichever replica gives it. Every request here may be repeated.

        Raises the broker's errors as they are; UnreachableError when for `patience_seconds` nobody could answer.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._access.patience_seconds
        pause, hops = FIRST_PAUSE_SECONDS, 0
        last: LeaseGridError
        while True:
            target = self._target
            try:
                return await self._ask(target, ask)
            except NotLeaderError as error:
                hops, last = hops + 1, error
                self._follow(target, error.leader)
                if error.leader and hops <= len(self._access.endpoints) + 1:
                    continue
            except (UnreachableError, OverloadedError) as error:
                last = error
                self._turn_from(target, error)
            rest = pause * (1 + self._jitter()) / 2
            if isinstance(last, OverloadedError):
                rest = max(rest, last.retry_after)
            if loop.time() + rest > give_up_at:
                raise UnreachableError(last.cause, remedy=last.remedy) from last
            await asyncio.sleep(rest)
            pause, hops = min(pause * 2, MAX_PAUSE_SECONDS), 0

    def _follow(self, asked: str, leader: str) -> None:
        if self._target == asked:
            self._target = leader.rstrip("/") if leader and leader != asked else self._another()

    def _turn_from(self, asked: str, error: LeaseGridError) -> None:
        if self._target == asked and isinstance(error, UnreachableError):
            self._target = self._another()

    def _another(self) -> str:
        self._next_endpoint = (self._next_endpoint + 1) % len(self._access.endpoints)
        return self._access.endpoints[self._next_endpoint].rstrip("/")

    async def _ask(self, target: str, ask: Ask) -> bytes:
        if not ask.capability:
            return await self._exchange(target, ask, {TOKEN_HEADER: self._token()})
        try:
            return await self._ask_as_holder(target, ask)
        except RefusedError as error:
            if error.reason != STALE_NONCE:
                raise
            # The refusal brought a fresh one.
            return await self._ask_as_holder(target, ask)

    async def _ask_as_holder(self, target: str, ask: Ask) -> bytes:
        nonces = self._nonces.setdefault(target, deque(maxlen=MAX_SPARE_NONCES))
        nonce = nonces.pop() if nonces else await self._fetch_nonce(target)
        proof = sign(proof_for((ask.method, ask.path, ask.body), ask.capability, nonce), self._access.holder)
        return await self._exchange(target, ask, {CAPABILITY_HEADER: ask.capability, PROOF_HEADER: proof})

    async def _fetch_nonce(self, target: str) -> str:
        body = await self._exchange(target, Ask("GET", "/v1/challenge"), {})
        return decoded(body, NonceReply).nonce

    async def _exchange(self, target: str, ask: Ask, fields: dict[str, str]) -> bytes:
        head = {**fields, "Content-Type": "application/json"} if ask.body else fields
        timeout = aiohttp.ClientTimeout(total=ask.timeout_seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with self._opened().request(
                ask.method,
                URL(target + ask.path, encoded=True),
                data=ask.body or None,
                headers=head,
                timeout=timeout,
                # A redirect could carry the token to anybody.
                allow_redirects=False,
                server_hostname=self._access.tls_name or None,
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                # The authority may be another by now: its file is read again for the next attempt.
                await self.close()
            raise UnreachableError(
                f"the broker at {target} did not answer {ask.method} {ask.path.partition('?')[0]}: "
                f"{str(error) or type(error).__name__}",
                remedy="check that the operator runs, and that a NetworkPolicy lets this pod reach it",
            ) from error
        if CAPABILITY_HEADER in fields and NONCE_HEADER in answer.headers:
            self._nonces[target].append(answer.headers[NONCE_HEADER])
        if answer.status != 200:
            raise refusal_of(answer.status, body, answer.headers)
        return body

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=self._trust())
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _trust(self) -> ssl.SSLContext | bool:
        file = self._access.ca_file
        try:
            return trusting(file.read_text(encoding="ascii")) if file is not None else True
        except (OSError, UnicodeError) as error:
            raise InputError(
                f"the broker's authority {file} cannot be read: {error}", remedy="mount its ca.crt there"
            ) from error

    def _token(self) -> str:
        if self._access.token_file is None:
            raise RefusedError("Unauthenticated", "there is no token here", remedy="show a capability of the lease")
        try:
            return self._access.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise RefusedError(
                "Unauthenticated", f"the token {self._access.token_file} cannot be read: {error}",
                remedy="mount a projected ServiceAccount token of audience leasegrid there",
            ) from error  # fmt: skip
