"""The operator's only door to the API server: plain objects in and out, few errors, one pool of connections.

Objects are dicts as JSON has them. The client's typed models cost several times the request itself, and are not
used; of the client we take configuration, credentials, TLS and the connection pool.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from leasegrid_operator.errors import (
    ClusterError,
    GoneError,
    NotLeadingError,
    ServerUnavailableError,
    SettingsError,
)
from leasegrid_operator.refusals import refusal
from leasegrid_operator.resources import ACCESS_REVIEWS, TOKEN_REVIEWS, ObjectKey, Resource
from tasklet_runner.wire.decoding import UNREADABLE

Object = dict[str, Any]

REQUEST_SECONDS = 10.0
"""The longest that a request may take; the server itself gives up after 60."""
CONNECT_SECONDS = 5.0
SETTLE_SECONDS = 0.05
BACK_OFFS = (0.05, 0.2, 0.8)
"""Waits before the further tries of a request that may be repeated, in seconds: an API server that rolls over is
back within one. Whoever calls tries again by its own clock after that."""
LONGEST_RETRY_AFTER = 5.0
PAGE = 500
"""Objects in one page of a list, as client-go has it."""
MERGE_PATCH = "application/merge-patch+json"
USER_AGENT = "leasegrid-operator"
TOO_MANY_REQUESTS = 429
FIRST_REFUSAL = 300


@dataclass(frozen=True)
class Listing:
    """The objects of a list, and the resourceVersion at which it was made."""

    items: list[Object]
    version: str


@dataclass(frozen=True)
class Reviewed:
    """Who a token speaks for; `authenticated` is False for one that is forged, expired or of another audience."""

    authenticated: bool
    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """What somebody wants to do: for the question whether the cluster's rules allow it."""

    user: str
    groups: tuple[str, ...]
    namespace: str
    verb: str
    resource: Resource
    name: str = ""


@dataclass(frozen=True)
class Write:
    """A write that the server answered: which verb on which kind, and the resulting resourceVersion, if any."""

    verb: str
    resource: Resource
    accepted: bool
    version: str = ""


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    what: str
    body: Object | None = None
    repeatable: bool = True
    writes: bool = False


WriteListener = Callable[[Write], None]


@asynccontextmanager
async def connected(kubeconfig: Path | None = None, *, told: WriteListener | None = None) -> AsyncIterator["Cluster"]:
    """A Cluster for the time of an `async with`: as the pod's ServiceAccount, or by a kubeconfig's current context.

    `told` is called for each write that the server answered.

    Raises:
        SettingsError: neither in a pod nor a kubeconfig that can be read.
    """
    async with ApiClient(await _configuration(kubeconfig)) as client:
        yield Cluster(client, told)
    # Connections whose requests were cancelled at the end close in the loop's next turns.
    await asyncio.sleep(SETTLE_SECONDS)


async def _configuration(kubeconfig: Path | None) -> Configuration:
    configuration = Configuration()
    try:
        if kubeconfig:
            await config.load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise SettingsError(
            f"no way to the API server: {error}",
            remedy="run in a pod with a ServiceAccount, or give --kubeconfig",
        ) from error
    # The look for proxies in the environment is made for each request and costs as much as the rest of it; a proxy
    # that the kubeconfig names is used all the same.
    configuration.client_session_kwargs = {"trust_env": False}
    return configuration


@dataclass(frozen=True)
class Credentials:
    """How others in this process may speak to the same server; `authorization` gives the header's value of now.

    The value is empty where the certificates in `tls` say who we are.
    """

    server: str
    tls: ssl.SSLContext
    authorization: Callable[[], Awaitable[str]]


class Cluster:
    """Requests to the API server. Every method raises the kinds of ClusterError and nothing else.

    A request that may be repeated without harm is repeated when the server was not available; a create is not,
    unless the server said that it did nothing.
    """

    def __init__(
        self, client: ApiClient, told: WriteListener | None = None, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._client = client
        self._told = told or (lambda write: None)
        self._may_write = may_write
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)

    @property
    def credentials(self) -> Credentials:
        """For the watches, which another library makes."""
        return Credentials(self._client.configuration.host, self._client.rest_client.ssl_context, self._authorization)

    async def _authorization(self) -> str:
        # Asked each time: a ServiceAccount's token is replaced in its file before it expires.
        return await self._client.configuration.get_api_key_with_prefix("BearerToken", "authorization") or ""

    def fenced(self, may_write: Callable[[], bool]) -> "Cluster":
        """The same door for one who writes only while this holds: later writes, and further tries of earlier ones,
        raise NotLeadingError and are not sent. So who was stopped for a while does not act on what it believes.
        """
        return Cluster(self._client, self._told, may_write)

    async def get(self, resource: Resource, key: ObjectKey) -> Object:
        """The object as it is now. Raises NotFoundError."""
        return _decoded(await self._ask(self._to("GET", resource, key)))

    async def list(self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "") -> Listing:
        """All objects of a kind (in a namespace, or in all), read page by page; `labels`, `fields`: selectors."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        try:
            return await self._list(resource, namespace, {**selectors, "limit": str(PAGE)})
        except GoneError:  # the pages outlived the server's memory: once more, as one page
            return await self._list(resource, namespace, selectors)

    async def create(self, resource: Resource, body: Object) -> Object:
        """The object as it was made; its namespace is the one in its metadata. Raises AlreadyExistsError."""
        metadata = body["metadata"]
        key = ObjectKey(metadata.get("namespace", ""), metadata.get("name") or metadata.get("generateName", ""))
        url = self._url(resource.path(key.namespace))
        request = _Request("POST", url, f"create {resource.kind} {key}", {**_head(resource), **body}, repeatable=False)
        return await self._written("create", resource, request)

    async def patch(self, resource: Resource, key: ObjectKey, body: Object) -> Object:
        """The object after a merge patch (RFC 7386); one that names its resourceVersion may raise ConflictError."""
        return await self._written("patch", resource, self._to("PATCH", resource, key, body=body))

    async def patch_status(self, resource: Resource, key: ObjectKey, status: Object, *, version: str = "") -> Object:
        """The object after a merge patch of its status: a list in it is replaced, a None takes a field away.

        With `version` only of the object as it was then: raises ConflictError when it is another by now.
        """
        guard: Object = {"metadata": {"resourceVersion": version}} if version else {}
        request = self._to("PATCH", resource, key, body={**guard, "status": status}, subresource="status")
        return await self._written("patch_status", resource, request)

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        """Ask for the object's end. With `uid` only of that very object: raises ConflictError for another.

        NotFoundError says that it has gone already. `grace_seconds` replaces what a pod asks for itself.
        """
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        request = self._to("DELETE", resource, key, body=options)
        # Without the uid a second try might end a successor of the same name.
        await self._written("delete", resource, replace(request, repeatable=bool(uid)))

    async def review_token(self, token: str, audiences: Sequence[str]) -> Reviewed:
        """Whom a token speaks for, if it is meant for one of these audiences."""
        body = {**_head(TOKEN_REVIEWS), "spec": {"token": token, "audiences": list(audiences)}}
        status = (await self._review(TOKEN_REVIEWS, body)).get("status", {})
        if not status.get("authenticated") or not set(audiences) & set(status.get("audiences", ())):
            return Reviewed(authenticated=False)
        user = status.get("user", {})
        return Reviewed(True, user.get("username", ""), user.get("uid", ""), tuple(user.get("groups", ())))

    async def review_access(self, access: Access) -> bool:
        """Whether the cluster's rules allow it."""
        attributes = {
            "namespace": access.namespace,
            "verb": access.verb,
            "group": access.resource.group,
            "version": access.resource.version,
            "resource": access.resource.plural,
            "name": access.name,
        }
        spec = {"user": access.user, "groups": list(access.groups), "resourceAttributes": attributes}
        answer = await self._review(ACCESS_REVIEWS, {**_head(ACCESS_REVIEWS), "spec": spec})
        return bool(answer.get("status", {}).get("allowed"))

    def _to(
        self, method: str, resource: Resource, key: ObjectKey, *, body: Object | None = None, subresource: str = ""
    ) -> _Request:
        url = self._url(resource.path(key.namespace, key.name, subresource))
        return _Request(method, url, f"{method.lower()} {resource.kind} {key}", body)

    def _url(self, path: str) -> str:
        return f"{self._client.configuration.host}{path}"

    async def _review(self, resource: Resource, body: Object) -> Object:
        # A review leaves nothing behind: unlike other creates it may be repeated.
        url, what = self._url(resource.path()), f"create {resource.kind}"
        return _decoded(await self._ask(_Request("POST", url, what, body=body)))

    async def _list(self, resource: Resource, namespace: str, query: dict[str, str]) -> Listing:
        items: list[Object] = []
        following = ""
        while True:
            asked = {name: value for name, value in {**query, "continue": following}.items() if value}
            url = self._url(f"{resource.path(namespace)}?{urlencode(asked)}")
            page = _decoded(await self._ask(_Request("GET", url, f"list {resource.plural} {namespace}".rstrip())))
            items += page.get("items") or ()
            following = page["metadata"].get("continue", "")
            if not following:
                return Listing(items, page["metadata"]["resourceVersion"])

    async def _written(self, verb: str, resource: Resource, request: _Request) -> Object:
        try:
            written = _decoded(await self._ask(replace(request, writes=True)))
        except ServerUnavailableError:
            raise
        except ClusterError:
            self._told(Write(verb, resource, accepted=False))
            raise
        # A delete answers with the object while its end takes time, and with a Status once it is gone.
        version = written.get("metadata", {}).get("resourceVersion", "")
        self._told(Write(verb, resource, accepted=True, version=version))
        return written

    async def _ask(self, request: _Request) -> bytes:
        for wait in BACK_OFFS:
            try:
                return await self._ask_once(request)
            except ServerUnavailableError as error:
                # 429 is said before anything is done; after any other failure a create may have been made.
                if not request.repeatable and error.status != TOO_MANY_REQUESTS:
                    raise
                await asyncio.sleep(min(max(wait, error.retry_after), LONGEST_RETRY_AFTER))
        return await self._ask_once(request)

    async def _ask_once(self, request: _Request) -> bytes:
        if request.writes and not self._may_write():
            raise NotLeadingError(f"{request.what}: this replica leads no more", remedy="whoever leads decides anew")
        content_type = MERGE_PATCH if request.method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT, "Content-Type": content_type}
        if authorization := await self._authorization():
            headers["Authorization"] = authorization
        try:
            answer = await self._client.call_api(
                request.method, request.url, headers, request.body, _request_timeout=self._timeout
            )
            body: bytes = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerUnavailableError(
                f"{request.what}: {str(error) or type(error).__name__}",
                remedy="check that the API server can be reached; it is tried again",
            ) from error
        if answer.status >= FIRST_REFUSAL:
            raise refusal(request.what, answer.status, body, answer.headers.get("Retry-After", ""))
        return body


def _head(resource: Resource) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def _decoded(body: bytes) -> Object:
    try:
        decoded: Object = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise ServerUnavailableError(
            f"the API server's answer is no JSON: {error}", remedy="check what stands between the operator and it"
        ) from error
    return decoded
